"""PySlowFast's YAML files as an experiment and overrides: their main keys."""

from pathlib import Path
from typing import Any

import yaml

from vidrec.errors import did_you_mean
from vidrec.files.text_files import read_text
from vidrec.migrate.composed import compose_as_written
from vidrec.migrate.migrated import Migrated, settled
from vidrec.migrate.published import published
from vidrec.migrate.pyslowfast_clips import translate_clips
from vidrec.migrate.pyslowfast_networks import MVIT_ARCHS, mvit_of, translate_network
from vidrec.migrate.pyslowfast_settings import Settings, read_settings
from vidrec.migrate.pyslowfast_solver import translate_solver
from vidrec.migrate.translation import Translation

# MODEL.ARCH -> the class of the backbone in published configurations.
ARCHS = {
    "slowfast": "ResNet3dSlowFast", "slow": "ResNet3dSlowOnly", "i3d": "ResNet3d", "c2d": "C2D",
    "x3d": "X3D", "mvit": "MViT",
}  # fmt: skip
# Keys that are one value here, always or for some networks only.
KEYS = {
    "MODEL.DROPOUT_RATE": "model.net.cls_head.dropout_ratio",
    "SOLVER.BASE_LR": "schedule.optimizer.lr",
    "SOLVER.WEIGHT_DECAY": "schedule.optimizer.weight_decay",
    "SOLVER.CLIP_GRAD_L2NORM": "schedule.clip_norm",
    "TRAIN.EVAL_PERIOD": "schedule.val_interval",
}
# Keys of the run that are taken over if they are given.
RUNTIME = {
    "RNG_SEED": "runtime.seed",
    "LOG_PERIOD": "runtime.log_every",
    "DATA_LOADER.NUM_WORKERS": "runtime.num_workers",
}
AVA_KEYS = {
    "AVA.FRAME_DIR": "data.train.prefix",
    "AVA.DETECTION_SCORE_THRESH": "data.train.records.person_det_score_thr",
}
DATASETS = {"kinetics": "kinetics", "ssv2": "sthv2", "ava": "ava"}


def migrate_pyslowfast(path: Path) -> Migrated:
    """The experiment nearest to a file of PySlowFast, and what to change in it.

    Raises ValueError for what is no such file and for networks that vidrec does not have.
    """
    settings = Settings(read_settings(_content(path), str(path)))
    stem = _nearest(settings)
    result = _translated(settings, stem, [])
    if result.choices:
        result = _translated(settings, stem, result.choices)
    return settled(stem, result)


def _content(path: Path) -> Any:
    try:
        return yaml.safe_load(read_text(str(path)))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from None


def _nearest(settings: Settings) -> str:
    arch, dataset = settings["MODEL.ARCH"], settings["TRAIN.DATASET"]
    if arch not in ARCHS:
        raise ValueError(f"vidrec has no {arch} (MODEL.ARCH); {did_you_mean(str(arch), ARCHS)}")
    if dataset not in DATASETS:
        hint = did_you_mean(str(dataset), DATASETS)
        raise ValueError(f"there is no counterpart of TRAIN.DATASET={dataset}; {hint}")
    detects = bool(settings["DETECTION.ENABLE"])
    wanted = {
        "depth": settings["RESNET.DEPTH"],
        "clip_len": settings["DATA.NUM_FRAMES"],
        "frame_interval": settings["DATA.SAMPLING_RATE"],
        "resample_rate": settings["SLOWFAST.ALPHA"],
        "arch": MVIT_ARCHS.get(mvit_of(settings)),
    }
    non_local = any(map(any, settings["NONLOCAL.LOCATION"]))

    def distance(stem: str) -> tuple[int, int, int, str]:
        config = published()[stem]
        backbone = config["model"]["backbone"]
        loader = config.get("train_dataloader") or config["test_dataloader"]
        steps = loader["dataset"].get("pipeline") or loader["dataset"]["datasets"][0]["pipeline"]
        facts = {**backbone.get("slow_pathway", {}), **backbone}
        facts |= next(step for step in steps if "Sample" in step["type"])
        other = [key for key, value in wanted.items() if key in facts and facts[key] != value]
        is_other_data = DATASETS[dataset] not in stem
        return is_other_data + (("non_local" in backbone) != non_local), len(other), len(stem), stem

    fitting = [
        stem
        for stem, config in published().items()
        if config["model"].get("backbone", {}).get("type") == ARCHS[arch]
        and (config["model"]["type"] == "FastRCNN") == detects
        and "neck" not in config["model"]
    ]
    if not fitting:
        raise ValueError(f"vidrec has no recipe for {arch} with DETECTION.ENABLE={detects}")
    return min(fitting, key=distance)


def _translated(settings: Settings, stem: str, choices: list[str]) -> Translation:
    cfg = compose_as_written([f"experiment={stem}", *choices])
    result = Translation(cfg, list(choices), experiment=stem)
    translate_network(settings, result)
    translate_clips(settings, result)
    _lists(settings, result)
    translate_solver(settings, result)
    _run(settings, result)
    for key, path in KEYS.items():
        if not (settings["DETECTION.ENABLE"] and "cls_head" in path):
            result.want(path, settings[key], key)
    for key, value, why in settings.unread():
        (result.note if why else result.lack)(key, value, why or "no counterpart is known")
    return result


def _lists(settings: Settings, result: Translation) -> None:
    """Where the videos and their lists are."""
    detects, folder = settings["DETECTION.ENABLE"], settings["DATA.PATH_TO_DATA_DIR"]
    if detects:
        for key, path in AVA_KEYS.items():
            if settings.given(key):
                result.want(path, settings[key], key, spreads=True)  # of both splits
        return
    key = "DATA.PATH_TO_DATA_DIR"
    if not folder:
        result.note(key, folder, "the lists of the experiment: data.root=DIR moves them")
        return
    for split in ("train", "val", "test"):
        result.want(f"data.{split}.records.path", f"{folder}/{split}.csv", key, given=folder)
        prefix = settings["DATA.PATH_PREFIX"]
        result.want(f"data.{split}.prefix", prefix, "DATA.PATH_PREFIX")
        separator = settings["DATA.PATH_LABEL_SEPARATOR"]
        result.want(f"data.{split}.records.delimiter", separator, "DATA.PATH_LABEL_SEPARATOR")


def _run(settings: Settings, result: Translation) -> None:
    """Batches, checkpoints and what else belongs to the run."""
    per_gpu, left = divmod(settings["TRAIN.BATCH_SIZE"], max(settings["NUM_GPUS"], 1))
    key, total = "TRAIN.BATCH_SIZE", settings["TRAIN.BATCH_SIZE"]
    if left:
        result.lack(key, total, "it does not divide into NUM_GPUS: set schedule.batch_size")
    else:
        result.want("schedule.batch_size", per_gpu, key, given=total)
        all_of_a_step = total * settings["NUM_SHARDS"]
        result.want("schedule.base_batch_size", all_of_a_step, key, given=total)
    if weights := settings["TRAIN.CHECKPOINT_FILE_PATH"]:
        result.want("model.weights", weights, "TRAIN.CHECKPOINT_FILE_PATH")
    if settings["TRAIN.MIXED_PRECISION"]:
        result.want("runtime.precision", "fp16", "TRAIN.MIXED_PRECISION", given=True)
    precise = settings["BN.NUM_BATCHES_PRECISE"] if settings["BN.USE_PRECISE_STATS"] else 0
    result.want("schedule.precise_bn", precise, "BN.USE_PRECISE_STATS")
    kind = settings["BN.NORM_TYPE"]
    if kind in ("batchnorm", "sync_batchnorm"):
        result.want("schedule.sync_bn", kind == "sync_batchnorm", "BN.NORM_TYPE", given=kind)
    else:
        result.lack(
            "BN.NORM_TYPE", kind, "there are batchnorm and sync_batchnorm (schedule.sync_bn)"
        )
    for key, path in RUNTIME.items():
        if settings.given(key):
            result.want(path, settings[key], key)
