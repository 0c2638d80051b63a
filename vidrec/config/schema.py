"""Who owns each mapping of the configuration that is not a `_target_`'s signature.

Imports nothing heavy, so that `--help` and `--cfg job` answer at once.
"""
# ruff: noqa: RUF009 - the calls are dataclasses.field with metadata

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from omegaconf import MISSING

from vidrec.config.fields import fixed, limited, made, one_of, referenced

Node = dict[str, Any]  # a mapping that a `_target_` or the named steps in it own
OptionalNode = Any  # or null, which OmegaConf can add keys to only if it is untyped


class Precision(StrEnum):
    fp32 = "fp32"
    bf16 = "bf16"
    fp16 = "fp16"


class WandbMode(StrEnum):
    auto = "auto"  # online with a login, offline without
    online = "online"
    offline = "offline"
    disabled = "disabled"


class DashboardName(StrEnum):
    wandb = "wandb"
    tensorboard = "tensorboard"
    none = "none"


class Task(StrEnum):
    recognition = "recognition"  # one label set per video
    detection = "detection"  # actions of the boxes of key frames
    localization = "localization"  # segments of untrimmed videos


class Inputs(StrEnum):
    """What a network for localization expects."""

    features = "features"  # sequences of features
    proposals = "proposals"  # segments to be scored (the second network of BSN)


@dataclass
class ClipConf:
    """The clips that a recognition network expects; the data groups refer to these values."""

    # Consecutive frames of one clip; for optical flow, the frames stacked into its channels.
    frames: int = limited(1, 1, 4096)
    interval: int = limited(1, 1, 4096)  # from one frame to the next
    clips: int = limited(1, 1, 4096)  # of a training or validation sample (the segments of TSN)
    test_clips: int = limited(1, 1, 4096)
    # Frames the network sees jointly; null: all frames of a sample (TSN).
    frames_per_view: int | None = limited(None, 1, 4096)
    size: int = limited(224, 1, 8192)  # crop edge, pixels
    short_side: int = limited(256, 1, 8192, is_referenced=True)  # before cropping, pixels
    # Short side, and edge of the crops, in tests with three crops; pixels.
    test_size: int = limited(256, 1, 8192, is_referenced=True)


@dataclass
class KeyFrameClipConf:
    """The clips around key frames that a detector expects; the data groups refer to them."""

    frames: int = limited(4, 1, 4096, is_referenced=True)
    interval: int = limited(16, 1, 4096, is_referenced=True)  # from one frame to the next
    size: int = limited(256, 1, 8192, is_referenced=True)  # crop edge in training, pixels
    short_side: int = limited(256, 1, 8192, is_referenced=True)  # before cropping, pixels
    # Short side, and edge of the crops, in tests with several crops; pixels.
    test_size: int = limited(256, 1, 8192, is_referenced=True)


@dataclass
class ModelConf:
    """What the models of all tasks have; RecognizerConf, DetectorConf, LocalizerConf add the rest.

    A file of conf/model names its schema first in its defaults: `- /recognizer_schema@_here_`.
    """

    task: Task = MISSING
    net: Node = made()
    loss: Node = made()
    weights: str | None = None  # path, URL, zoo://STEM, torchvision://NAME or timm://NAME
    # Refuse weights that match a smaller fraction of the backbone.
    min_backbone: float = limited(0.95, 0, 1)
    allow_non_finite: bool = False  # load weights that are infinite or NaN


@dataclass
class RecognizerConf(ModelConf):
    task: Task = fixed(Task.recognition)
    clip: ClipConf = field(default_factory=ClipConf)
    channels: int = limited(3, 1, 10_000)  # of a frame as the backbone sees it


@dataclass
class DetectorConf(ModelConf):
    task: Task = fixed(Task.detection)
    clip: KeyFrameClipConf = field(default_factory=KeyFrameClipConf)
    channels: int = limited(3, 1, 10_000)  # of a frame as the backbone sees it


@dataclass
class LocalizerConf(ModelConf):
    task: Task = fixed(Task.localization)
    inputs: Inputs = MISSING


@dataclass
class DataConf:
    """What the data of all tasks have; a subclass per kind of data adds the rest.

    A file of conf/data names its schema first in its defaults: `- /clip_data_schema@_here_`.
    """

    task: Task = MISSING
    name: str = MISSING
    root: str = referenced(MISSING)
    prepare: OptionalNode = made(
        None
    )  # a `_target_` that writes embedded example data on first use
    train: Node = made()
    val: Node = made()
    test: Node = made()
    metric: Node = made()


@dataclass
class VideoDataConf(DataConf):
    """What data have that are read from videos or frames."""

    num_classes: int = limited(MISSING, 1, 10_000_000)
    multi_label: bool = referenced(False)
    channels: int = limited(3, 1, 10_000)  # of a frame of a sample: 3, or 2 x clip.frames for flow
    folder: str = referenced("videos")  # where the videos are under root
    sampling: Node = referenced(factory=dict)  # train, val, test
    transforms: Node = referenced(factory=dict)  # train, val, test: named steps each
    on_bad_video: str = one_of("raise", ["raise", "skip", "replace"])
    max_bad_fraction: float = limited(0.001, 0, 1)  # of the dataset; more is fatal


@dataclass
class ClipDataConf(VideoDataConf):
    """Videos with labels, for recognition."""

    task: Task = fixed(Task.recognition)
    # The loss that the labels call for; models use it unless they bring their own.
    loss: str | None = referenced(None)
    # Rows of a 0 or 1 for each class instead of labels; with multi_label.
    multi_hot: bool = referenced(False)
    class_names: str | None = None  # a file with one name per line
    kind: str = referenced("videos")  # videos, rawframes or flow, as the list files are named
    fold: int = referenced(1)  # of datasets with several official splits
    stack: int = limited(1, 1, 4096)  # sampled frames stacked into the channels of one


@dataclass
class BoxDataConf(VideoDataConf):
    """Key frames with labelled boxes, for spatio-temporal detection."""

    task: Task = fixed(Task.detection)


MAP_THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)  # ActivityNet's


@dataclass
class FeatureDataConf(DataConf):
    """Feature sequences of untrimmed videos with annotated segments, for localization."""

    task: Task = fixed(Task.localization)
    inputs: Inputs = fixed(Inputs.features)
    features: str = referenced(MISSING)  # the folder of feature sequences
    feat_dim: int = limited(400, 1, 1_000_000, is_referenced=True)  # their channels
    # Their length as the network sees it.
    temporal_dim: int = limited(100, 4, 10_000, is_referenced=True)
    resize: bool = referenced(False)  # resample sequences of other lengths to temporal_dim
    channels_first: bool = referenced(False)  # the files hold (C, T)
    cache: str | None = referenced(None)  # where converted csv files go; null: into the folder
    skip_missing: bool = referenced(False)  # leave out annotated videos without features
    labels: OptionalNode = made(None, is_referenced=True)  # what the network learns from
    windows: OptionalNode = made(None, is_referenced=True)  # what cuts long sequences
    # tIoUs of mean average precision, which `data/metric=segment_map` computes.
    map_thresholds: list[float] = referenced(factory=lambda: list(MAP_THRESHOLDS))


@dataclass
class ProposalDataConf(DataConf):
    """Proposals of BSN's first network, for its second one."""

    task: Task = fixed(Task.localization)
    inputs: Inputs = fixed(Inputs.proposals)
    proposals: str = referenced(MISSING)  # the folder of proposals
    map_thresholds: list[float] = referenced(factory=lambda: list(MAP_THRESHOLDS))


MODELS: tuple[type[ModelConf], ...] = (RecognizerConf, DetectorConf, LocalizerConf)
DATA: tuple[type[DataConf], ...] = (ClipDataConf, BoxDataConf, FeatureDataConf, ProposalDataConf)


@dataclass
class ParamRule:
    """Multipliers for the parameters whose name or kind matches; see `vidrec.engine.optim`."""

    name: str | None = None  # regular expression searched in the parameter's name
    kind: str | None = None  # one of `vidrec.engine.optim.KINDS`
    lr: float = limited(1.0, 0, 1e6)
    weight_decay: float = limited(1.0, 0, 1e6)


@dataclass
class ScheduleConf:
    # The times of the learning rate keep their proportion to it.
    epochs: int = limited(MISSING, 1, 1_000_000)
    batch_size: int = limited(32, 1, 1_000_000)  # samples of one rank and micro-batch
    val_batch_size: int = limited(32, 1, 1_000_000)
    test_batch_size: int = limited(1, 1, 1_000_000)
    accumulate: int = limited(1, 1, 1_000_000)  # micro-batches of one step
    optimizer: Node = made()  # a partial: parameters come later
    param_groups: Node = field(default_factory=dict)  # named ParamRules, first match wins
    # Learning rate of a layer over that of the next one.
    layer_decay: float | None = limited(None, 1e-3, 1)
    mixing: OptionalNode = made(None)  # mixup and the like; see `vidrec.data.transforms.mixing`
    lr: Node = field(default_factory=dict)  # named phases, chained
    clip_norm: float | None = limited(None, 1e-12)
    # Samples per step over all ranks in the recipe.
    base_batch_size: int | None = limited(None, 1, 10_000_000)
    scale_lr: bool = False  # scale lr linearly from base_batch_size to the effective batch
    val_begin: int = limited(1, 1, 1_000_000)  # first epoch that is validated, counted from 1
    val_interval: int = limited(1, 1, 1_000_000)
    # Decay of the averaged weights, e.g. 0.9999; see `vidrec.engine.ema`.
    ema: float | None = limited(None, 1e-3, 0.999999)
    sync_bn: bool = False
    # Batches that re-estimate the statistics of BatchNorm before each validation.
    precise_bn: int = limited(0, 0, 1_000_000)
    max_steps: int | None = limited(None, 1, 1_000_000_000)  # of an epoch; for smoke runs

    def effective_batch(self, world: int) -> int:
        """Samples of one optimizer step over all ranks."""
        return self.batch_size * self.accumulate * world


@dataclass
class WandbConf:
    mode: WandbMode = WandbMode.auto
    project: str = "vidrec"
    entity: str | None = None
    group: str | None = None
    tags: list[str] = field(default_factory=list)


@dataclass
class RuntimeConf:
    seed: int = limited(0, 0, 2**31 - 1)  # of weights, samples and their order
    device: str = "auto"  # auto, cpu, cuda
    precision: Precision = Precision.fp32  # of matrix products and convolutions
    compile: bool = False
    deterministic: bool = False
    cudnn_benchmark: bool = False
    # Loader workers of one rank; null: its share of the cores, at most 8.
    num_workers: int | None = limited(None, 0, 1024)
    persistent_workers: bool | None = None  # keep workers between epochs; null: when there are any
    prefetch: int = limited(2, 1, 1024)  # batches a worker prepares ahead
    # Torch threads of the main process; null: torch decides.
    threads: int | None = limited(None, 1, 4096)
    log_every: int = limited(20, 1, 1_000_000_000)  # steps
    save_every_epochs: int = limited(1, 1, 1_000_000)
    save_every_minutes: float | None = limited(None, 0.01, 1e6)  # also within an epoch
    # Numbered checkpoints (epoch_N.pt) kept beside last.pt and best.pt.
    keep: int = limited(0, 0, 1_000_000)
    save_best: bool = True
    resume: str = "auto"  # auto: go on with the run directory's last.pt; never; or a checkpoint
    dist_timeout_minutes: float = limited(10.0, 0.01, 1e6)
    check_files: bool = True  # look for the files of the lists at start; --no-check turns it off
    progress: bool = True  # bar on a terminal
    dashboard: DashboardName = DashboardName.wandb  # metrics.jsonl is always written
    wandb: WandbConf = field(default_factory=WandbConf)


@dataclass
class TrainConf:
    model: ModelConf = field(default_factory=ModelConf)
    data: DataConf = field(default_factory=DataConf)
    schedule: ScheduleConf = field(default_factory=ScheduleConf)
    runtime: RuntimeConf = field(default_factory=RuntimeConf)


@dataclass
class TrainedConf(TrainConf):
    """Of the commands that use a trained network."""

    # Run directory: the choices of its training and its best checkpoint.
    run: str | None = None
    # Packages of your own whose classes `run` may name, see vidrec.config.trust.
    trust: list[str] = field(default_factory=list)
    checkpoint: str | None = None  # file with weights; null: the best one of `run`


@dataclass
class EvaluateConf(TrainedConf):
    # Which protocol: few clips and crops of each sample, as during training, or those of the test.
    split: str = one_of("test", ["val", "test"])
    same_classes: bool = True  # refuse a checkpoint whose classes are not named as the data's
    # File for the predictions: .npz, .csv or .json; for segments .json, for boxes .csv.
    dump: str | None = None
    pictures: str | None = None  # folder for pictures of the predictions
    # Folder for report.html and report.json; auto: evaluation-SPLIT in the directory of `run`, none
    # without one; none: no report.
    report: str = "auto"
    # Score these dumps instead of running a network; several are fused.
    score: list[str] = field(default_factory=list)
    score_weights: list[float] = field(default_factory=list)  # of the dumps; none: all 1


class ExportFormat(StrEnum):
    torch_export = "torch_export"
    onnx = "onnx"


class ExportOutput(StrEnum):
    scores = "scores"  # averaged over views
    logits = "logits"  # of each view


@dataclass
class ExportConf(TrainedConf):
    format: ExportFormat = ExportFormat.torch_export  # of the file
    out: str | None = None  # the file; null: model.pt2 or model.onnx here
    output: ExportOutput = ExportOutput.scores  # averaged over views, or logits of each view
    views: int = 1  # clips of a sample
    size: int | None = None  # edge of the frames, pixels; null: model.clip.size


@dataclass
class ExtractConf(TrainedConf):
    videos: str = MISSING  # a folder of video files, a list of paths, or one file
    out: str = "features"  # one .npz a video, and features.json
    window: int | None = None  # frames that one feature sees; null: as in training
    stride: int | None = None  # frames from one feature to the next; null: half a window
    # Crops of each window: the centre one of validation, or those of the test, averaged.
    crops: str = one_of("val", ["val", "test"])
    chunk: int = 8  # windows of one forward pass


@dataclass
class BankConf(TrainedConf):
    split: str = one_of("train", ["train", "val", "test"])  # whose boxes it holds
    out: str = "bank.npy"  # the file; FILE.json beside it lists what it holds


@dataclass
class ProposalsConf(TrainedConf):
    """How BSN's proposals are made and sampled; the published settings are the defaults."""

    out: str | None = None  # the folder; one .npz a video
    top_k: int = 1000  # best proposals of a video that are kept
    # Besides local maxima, scores above this fraction of a video's largest one are boundaries.
    peak_threshold: float = 0.5
    # Length sampled around each boundary, as a fraction of the proposal's length.
    bsp_boundary_ratio: float = 0.2
    num_sample_start: int = 8  # features around the start of a proposal
    num_sample_end: int = 8  # features around its end
    num_sample_action: int = 16  # features within it
    num_sample_interp: int = 3  # points of linear interpolation that one feature averages
