"""Who owns each mapping of the configuration that is not a `_target_`'s signature.

Imports nothing heavy, so that `--help` and `--cfg job` answer at once.
"""

import hashlib
import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import MISSING, OmegaConf


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


def conf_dir() -> str:
    """The folder of the Hydra tree: inside an installed package, beside it in a checkout."""
    inside = Path(__file__).parent / "conf"
    return str(inside if inside.is_dir() else inside.parent.parent / "conf")


# Choices that say where and how loudly to run, not what comes out, do not name the run directory.
_NOT_IN_NAME = re.compile(
    r"(runtime\.(resume|dashboard|wandb|log_every|progress|num_workers|persistent_workers|prefetch|keep"
    r"|save_every|dist_timeout|threads)|hydra|runtime=slurm$)\b"
)


def run_name(choices: dict[str, str | None], overrides: list[str]) -> str:
    """A name that follows from the choices alone, so that ranks agree and the same command resumes.

    >>> choices = {"model": "tsn", "data": "ucf101"}
    >>> run_name(choices, ["model=tsn", "data=ucf101", "schedule.epochs=3"])
    'tsn_ucf101,schedule.epochs=3'
    """
    name = choices.get("experiment") or f"{choices['model']}_{choices['data']}"
    groups = {"experiment"} | (set() if choices.get("experiment") else {"model", "data"})
    return short_name(name, [o for o in overrides if o.lstrip("+").split("=")[0] not in groups])


def short_name(first: str, overrides: list[str]) -> str:
    """A folder's name of `first` and of the overrides that decide what comes out.

    >>> short_name("sweep", ["schedule.epochs=2", "model=tsn,tsm", "runtime.num_workers=2"])
    'sweep,model=tsn,tsm,schedule.epochs=2'
    """
    plain = sorted(override.lstrip("+") for override in overrides)
    kept = [override for override in plain if not _NOT_IN_NAME.match(override)]
    # Paths and long lists would make unreadable names: they are hashed.
    shown = [override for override in kept if "/" not in override and len(override) < 40]
    text = re.sub(r"[^\w.=,+~-]+", "_", ",".join([first, *shown]))
    if len(shown) < len(kept) or len(text) > 120:
        text = f"{text[:110]}-{hashlib.sha256(','.join(kept).encode()).hexdigest()[:8]}"
    return text


def _current_run_name() -> str:
    hydra = HydraConfig.get()
    return run_name(dict(hydra.runtime.choices), list(hydra.overrides.task))


def _sweep_group() -> str | None:
    """The name of the sweep that this run belongs to."""
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return None
    return Path(HydraConfig.get().sweep.dir).name


def _num_folders(root: str) -> int:
    inside = Path(root).iterdir() if Path(root).is_dir() else []
    folders = [path for path in inside if path.is_dir() and not path.name.startswith(".")]
    if not folders:
        raise FileNotFoundError(
            f"{root} has no folders, one a class; point data.root at your videos"
        )
    return len(folders)


def register() -> None:
    """Make the schemas and resolvers known to Hydra."""
    store = ConfigStore.instance()
    store.store(name="train_schema", node=TrainConf)
    store.store(name="evaluate_schema", node=EvaluateConf)
    store.store(name="export_schema", node=ExportConf)
    store.store(name="proposals_schema", node=ProposalsConf)
    store.store(name="extract_schema", node=ExtractConf)
    store.store(name="bank_schema", node=BankConf)
    OmegaConf.register_new_resolver("run_name", _current_run_name, replace=True)
    OmegaConf.register_new_resolver("sweep_group", _sweep_group, replace=True)
    OmegaConf.register_new_resolver("num_folders", _num_folders, replace=True)
    OmegaConf.register_new_resolver("mul", lambda a, b: a * b, replace=True)
