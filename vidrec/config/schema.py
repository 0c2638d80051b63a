"""Who owns each mapping of the configuration that is not a `_target_`'s signature.

Imports nothing heavy, so that `--help` and `--cfg job` answer at once.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from omegaconf import MISSING


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


@dataclass
class ClipConf:
    """What a recognition model eats; the data group reads it by interpolation."""

    frames: int = 1  # consecutive frames of one clip (for flow: the pairs stacked into channels)
    interval: int = 1  # distance between them
    clips: int = 1  # clips of a training or validation sample (the segments of TSN)
    test_clips: int = 1
    frames_per_view: int | None = None  # frames seen jointly; null: all of a sample (TSN)
    size: int = 224  # crop edge, pixels
    short_side: int = 256  # short side before cropping, pixels
    test_size: int = 256  # short side, and edge of the crops, of tests with three crops


@dataclass
class ModelConf:
    net: dict[str, Any] = MISSING
    loss: dict[str, Any] = MISSING
    clip: ClipConf = field(default_factory=ClipConf)
    sample: str = "clip"  # the kind of sample the net eats: clip, boxes, features or proposals
    channels: int = 3  # channels of a frame as the backbone sees it
    weights: str | None = None  # path, URL, zoo://STEM, torchvision://NAME or timm://NAME
    min_backbone: float = 0.95  # refuse weights that match less of the backbone than this


@dataclass
class DataConf:
    name: str = MISSING
    sample: str = "clip"
    num_classes: int = MISSING
    multi_label: bool = False
    channels: int = 3  # of a frame as the dataset gives it: 3, or 2 x clip.frames for flow
    stack: int = 1  # sampled frames stacked into the channels of one
    kind: str = "videos"  # videos, rawframes or flow, as the list files are named
    folder: str = "videos"  # where they lie under root
    fold: int = 1  # of datasets with several official splits
    # The loss that the labels call for; models use it unless they bring their own.
    loss: str | None = None
    class_names: str | None = None  # a file with one name a line
    root: str = MISSING
    prepare: Any = None  # a `_target_` that writes embedded example data on first use
    sampling: dict[str, Any] = field(default_factory=dict)  # train, val, test
    transforms: dict[str, Any] = field(default_factory=dict)  # train, val, test: named steps each
    features: str | None = None  # the folder of feature sequences
    feat_dim: int = 400  # their channels
    temporal_dim: int = 100  # their length, as models see it
    resize: bool = False  # bring sequences of other lengths to it
    channels_first: bool = False  # the files hold (C, T)
    cache: str | None = None  # where converted csv go; null: into the folder
    skip_missing: bool = False  # leave annotated videos without features out
    labels: Any = None  # what networks for localization learn from
    windows: Any = None  # cuts long sequences instead
    proposals: str | None = None  # the folder of proposals that BSN's second network eats
    train: dict[str, Any] = MISSING
    val: dict[str, Any] = MISSING
    test: dict[str, Any] = MISSING
    metric: dict[str, Any] = MISSING
    on_bad_video: str = "raise"  # raise, skip or replace
    max_bad_fraction: float = 0.001  # of the dataset; more is fatal


@dataclass
class ParamRule:
    """Multipliers for the parameters whose name or kind matches; see `vidrec.engine.optim`."""

    name: str | None = None  # regular expression searched in the parameter's name
    kind: str | None = None  # one of `vidrec.engine.optim.KINDS`
    lr: float = 1.0
    weight_decay: float = 1.0


@dataclass
class ScheduleConf:
    epochs: int = MISSING
    batch_size: int = 32  # samples of one rank and micro-batch
    val_batch_size: int = 32
    test_batch_size: int = 1
    accumulate: int = 1  # micro-batches of one step
    optimizer: dict[str, Any] = MISSING  # a partial: parameters come later
    param_groups: dict[str, Any] = field(default_factory=dict)  # named ParamRules, first match wins
    layer_decay: float | None = None  # learning rate of a layer over that of the next one
    mixing: Any = None  # mixup and the like; see `vidrec.data.transforms.mixing`
    lr: dict[str, Any] = field(default_factory=dict)  # named phases, chained
    clip_norm: float | None = None
    base_batch_size: int | None = None  # the recipe's samples per step over all ranks
    scale_lr: bool = False  # scale lr linearly from base_batch_size to the effective batch
    val_begin: int = 1  # first epoch that is validated, counted from 1
    val_interval: int = 1
    ema: float | None = None  # decay of the averaged weights, e.g. 0.9999
    sync_bn: bool = False
    precise_bn: int = 0  # batches that re-estimate BatchNorm statistics before each validation
    max_steps: int | None = None  # of an epoch; for smoke runs

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
    seed: int = 0
    device: str = "auto"  # auto, cpu, cuda
    precision: Precision = Precision.fp32
    compile: bool = False
    deterministic: bool = False
    cudnn_benchmark: bool = False
    num_workers: int | None = None  # of one rank; null: its share of the cores, at most 8
    persistent_workers: bool | None = None  # keep workers between epochs; null: when there are any
    prefetch: int = 2  # batches a worker prepares ahead
    threads: int | None = None  # torch threads of the main process; null: torch decides
    log_every: int = 20  # steps
    save_every_epochs: int = 1
    save_every_minutes: float | None = None  # also within an epoch
    keep: int = 0  # numbered checkpoints (epoch_N.pt) kept beside last.pt and best.pt
    save_best: bool = True
    resume: str = "auto"  # auto: go on with the run directory's last.pt; never; or a checkpoint
    dist_timeout_minutes: float = 10.0
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
class EvaluateConf(TrainConf):
    checkpoint: str | None = None  # weights to evaluate
    split: str = "test"  # val or test
    dump: str | None = None  # write predictions to this .npz, segments to .json, boxes to .csv
    pictures: str | None = None  # write pictures of segments or boxes into this folder
    # Score these dumps instead of running a net; several are fused.
    score: list[str] = field(default_factory=list)
    score_weights: list[float] = field(default_factory=list)


class ExportFormat(StrEnum):
    torch_export = "torch_export"
    onnx = "onnx"


class ExportOutput(StrEnum):
    scores = "scores"  # averaged over views
    logits = "logits"  # of each view


@dataclass
class ExportConf(TrainConf):
    checkpoint: str | None = None  # weights to export
    format: ExportFormat = ExportFormat.torch_export
    out: str | None = None  # the file; null: model.pt2 or model.onnx here
    output: ExportOutput = ExportOutput.scores
    views: int = 1  # clips of a sample
    size: int | None = None  # edge of the frames, pixels; null: model.clip.size


@dataclass
class ExtractConf(TrainConf):
    checkpoint: str | None = None  # weights to extract with
    videos: str = MISSING  # a folder of video files, a list of paths, or one file
    out: str = "features"  # one .npz a video, and features.json
    window: int | None = None  # frames that one feature sees; null: as in training
    stride: int | None = None  # frames from one feature to the next; null: half a window
    crops: str = "val"  # of each window: those of validation (the centre) or of the test, averaged
    chunk: int = 8  # windows of one forward pass


@dataclass
class BankConf(TrainConf):
    checkpoint: str | None = None  # weights of the detector whose features are kept
    split: str = "train"  # whose boxes: train, val or test
    out: str = "bank.npy"  # the file; FILE.json beside it lists what it holds


@dataclass
class ProposalsConf(TrainConf):
    """How BSN's proposals are made and sampled; the published settings are the defaults."""

    checkpoint: str | None = None  # weights of the network for boundaries
    out: str | None = None  # the folder; one .npz a video
    top_k: int = 1000  # best proposals of a video that are kept
    peak_threshold: float = 0.5  # of the largest score, above which a boundary may be
    bsp_boundary_ratio: float = 0.2  # around a boundary, of the proposal's length
    num_sample_start: int = 8
    num_sample_end: int = 8
    num_sample_action: int = 16
    num_sample_interp: int = 3
