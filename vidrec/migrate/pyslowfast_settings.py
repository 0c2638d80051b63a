"""The settings of a PySlowFast file, with PySlowFast's defaults for what it leaves out."""

import ast
from collections.abc import Iterator, Mapping
from typing import Any

# Of the keys that are translated, as in slowfast/config/defaults.py.
DEFAULTS: dict[str, Any] = {
    "MODEL.ARCH": "slowfast", "MODEL.NUM_CLASSES": 400, "MODEL.DROPOUT_RATE": 0.5,
    "DATA.NUM_FRAMES": 8, "DATA.SAMPLING_RATE": 8, "DATA.MEAN": [0.45, 0.45, 0.45],
    "DATA.STD": [0.225, 0.225, 0.225], "DATA.TRAIN_JITTER_SCALES": [256, 320],
    "DATA.TRAIN_JITTER_SCALES_RELATIVE": [], "DATA.TRAIN_JITTER_ASPECT_RELATIVE": [],
    "DATA.TRAIN_CROP_SIZE": 224, "DATA.TEST_CROP_SIZE": 256, "DATA.RANDOM_FLIP": True,
    "DATA.PATH_TO_DATA_DIR": "", "DATA.PATH_PREFIX": "", "DATA.PATH_LABEL_SEPARATOR": " ",
    "RESNET.DEPTH": 50, "RESNET.ZERO_INIT_FINAL_BN": False,
    "RESNET.NUM_BLOCK_TEMP_KERNEL": [[3], [4], [6], [3]],
    "RESNET.SPATIAL_STRIDES": [[1], [2], [2], [2]],
    "RESNET.SPATIAL_DILATIONS": [[1], [1], [1], [1]],
    "SLOWFAST.ALPHA": 8, "SLOWFAST.BETA_INV": 8, "SLOWFAST.FUSION_KERNEL_SZ": 5,
    "NONLOCAL.LOCATION": [[[]], [[]], [[]], [[]]], "NONLOCAL.INSTANTIATION": "dot_product",
    "X3D.WIDTH_FACTOR": 1.0, "X3D.DEPTH_FACTOR": 1.0, "X3D.BOTTLENECK_FACTOR": 1.0,
    "X3D.DIM_C1": 12, "MVIT.DEPTH": 16, "MVIT.EMBED_DIM": 96, "MVIT.NUM_HEADS": 1,
    "MVIT.DROPPATH_RATE": 0.1, "MVIT.REL_POS_SPATIAL": False,
    "SOLVER.BASE_LR": 0.1, "SOLVER.LR_POLICY": "cosine", "SOLVER.COSINE_END_LR": 0.0,
    "SOLVER.COSINE_AFTER_WARMUP": False, "SOLVER.STEPS": [], "SOLVER.LRS": [],
    "SOLVER.MAX_EPOCH": 300, "SOLVER.MOMENTUM": 0.9, "SOLVER.NESTEROV": True,
    "SOLVER.WEIGHT_DECAY": 1e-4, "SOLVER.WARMUP_EPOCHS": 0.0, "SOLVER.WARMUP_START_LR": 0.01,
    "SOLVER.OPTIMIZING_METHOD": "sgd", "SOLVER.BASE_LR_SCALE_NUM_SHARDS": False,
    "SOLVER.ZERO_WD_1D_PARAM": False, "SOLVER.CLIP_GRAD_L2NORM": None, "SOLVER.LAYER_DECAY": 1.0,
    "BN.WEIGHT_DECAY": 0.0, "BN.USE_PRECISE_STATS": False, "BN.NUM_BATCHES_PRECISE": 200,
    "BN.NORM_TYPE": "batchnorm", "TRAIN.DATASET": "kinetics", "TRAIN.BATCH_SIZE": 64,
    "TRAIN.EVAL_PERIOD": 10, "TRAIN.CHECKPOINT_FILE_PATH": "", "TRAIN.MIXED_PRECISION": False,
    "TEST.NUM_ENSEMBLE_VIEWS": 10, "TEST.NUM_SPATIAL_CROPS": 3, "NUM_GPUS": 1, "NUM_SHARDS": 1,
    "DETECTION.ENABLE": False, "DETECTION.ROI_XFORM_RESOLUTION": 7,
    "MIXUP.ENABLE": False, "MIXUP.ALPHA": 0.8, "MIXUP.CUTMIX_ALPHA": 1.0,
    "MIXUP.LABEL_SMOOTH_VALUE": 0.1, "AUG.ENABLE": False, "AUG.NUM_SAMPLE": 1,
    "AUG.AA_TYPE": "rand-m9-mstd0.5-inc1", "AUG.RE_PROB": 0.25, "AUG.RE_MODE": "pixel",
}  # fmt: skip
# Keys whose only value here is one of these.
FIXED: dict[str, list[Any]] = {
    "RESNET.TRANS_FUNC": ["bottleneck_transform", "x3d_transform"],
    "RESNET.STRIDE_1X1": [False], "RESNET.WIDTH_PER_GROUP": [64], "RESNET.NUM_GROUPS": [1],
    "RESNET.INPLACE_RELU": [True, False], "SLOWFAST.FUSION_CONV_CHANNEL_RATIO": [2],
    "X3D.DIM_C5": [2048], "X3D.SCALE_RES2": [False], "X3D.BN_LIN5": [False],
    "X3D.CHANNELWISE_3x3x3": [True], "BN.MOMENTUM": [0.1], "BN.NUM_SPLITS": [1],
    "MODEL.LOSS_FUNC": ["cross_entropy", "soft_cross_entropy", "bce"],
    "MODEL.HEAD_ACT": ["softmax", "sigmoid"], "MODEL.FC_INIT_STD": [0.01],
    "MODEL.DROPCONNECT_RATE": [0.0], "SOLVER.DAMPENING": [0.0], "DATA.TARGET_FPS": [30],
    "DATA.MULTI_LABEL": [False], "DATA.ENSEMBLE_METHOD": ["sum"],
    "DATA.REVERSE_INPUT_CHANNEL": [False], "DATA.INV_UNIFORM_SAMPLE": [False],
    "DETECTION.ALIGNED": [True], "DETECTION.SPATIAL_SCALE_FACTOR": [16],
    "MIXUP.PROB": [1.0], "MIXUP.SWITCH_PROB": [0.5], "AUG.RE_COUNT": [1], "AUG.RE_SPLIT": [False],
    "MVIT.USE_ABS_POS": [False], "MVIT.REL_POS_TEMPORAL": [True], "MVIT.MLP_RATIO": [4.0],
    "MVIT.PATCH_KERNEL": [[3, 7, 7]], "MVIT.PATCH_STRIDE": [[2, 4, 4]],
    "MVIT.PATCH_PADDING": [[1, 3, 3]], "MVIT.QKV_BIAS": [True], "MVIT.NORM": ["layernorm"],
    "MVIT.MODE": ["conv"], "MVIT.CLS_EMBED_ON": [True], "MVIT.DIM_MUL_IN_ATT": [True],
    "MVIT.RESIDUAL_POOLING": [True], "MVIT.DROPOUT_RATE": [0.0], "MVIT.POOL_FIRST": [False],
    "MVIT.POOL_KVQ_KERNEL": [[3, 3, 3]], "MVIT.POOL_KV_STRIDE_ADAPTIVE": [[1, 8, 8]],
    "MVIT.SEP_POS_EMBED": [True, False], "MVIT.ZERO_DECAY_POS_CLS": [True, False],
}  # fmt: skip
# Keys that need nothing here, and why.
NOTES = {
    "TRAIN.ENABLE": "vidrec train and vidrec evaluate are two commands",
    "TEST.ENABLE": "vidrec train and vidrec evaluate are two commands",
    "TRAIN.AUTO_RESUME": "the same command goes on with its run",
    "TRAIN.CHECKPOINT_TYPE": "seen from the file",
    "TRAIN.CHECKPOINT_PERIOD": "last.pt is written after every epoch; runtime.keep keeps more",
    "TRAIN.CHECKPOINT_INFLATE": "seen from the shapes",
    "TRAIN.CHECKPOINT_EPOCH_RESET": "model.weights starts at epoch 0",
    "TEST.CHECKPOINT_FILE_PATH": "vidrec evaluate ... checkpoint=FILE",
    "TEST.CHECKPOINT_TYPE": "seen from the file",
    "TEST.DATASET": "data.test",
    "TEST.BATCH_SIZE": "schedule.test_batch_size",
    "TEST.NUM_ENSEMBLE_VIEWS": "detectors see one clip of whole frames",
    "TEST.NUM_SPATIAL_CROPS": "detectors see one clip of whole frames",
    "DATA.INPUT_CHANNEL_NUM": "data.channels",
    "DATA.DECODING_BACKEND": "videos are decoded with PyAV",
    "DATA.USE_OFFSET_SAMPLING": "clips of a test are spread evenly",
    "AUG.COLOR_JITTER": "RandAugment takes its place",
    "AUG.INTERPOLATION": "pixels are interpolated linearly",
    "NONLOCAL.GROUP": "one group",
    "NONLOCAL.POOL": "model.net.backbone.non_local_sub_sample",
    "MODEL.MODEL_NAME": "MODEL.ARCH says it",
    "MVIT.DIM_MUL": "the architecture says it",
    "MVIT.HEAD_MUL": "the architecture says it",
    "MVIT.POOL_Q_STRIDE": "the architecture says it",
    "DATA_LOADER.PIN_MEMORY": "on for GPUs",
    "DATA_LOADER.ENABLE_MULTI_THREAD_DECODE": "each worker decodes one video at a time",
    "BN.NUM_SYNC_DEVICES": "all ranks",
    "NUM_GPUS": "torchrun --nproc-per-node",
    "OUTPUT_DIR": "the run directory is named after the choices; hydra.run.dir=DIR sets it",
    "LOG_MODEL_INFO": "not needed",
    "DIST_BACKEND": "not needed",
    "SHARD_ID": "torchrun says it",
}


class Settings:
    """Values by dotted key. What is looked up counts as translated."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = given
        self._read: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        self._read.add(key)
        return self._given.get(key, DEFAULTS.get(key))

    def given(self, key: str) -> bool:
        return key in self._given

    def unread(self) -> Iterator[tuple[str, Any, str | None]]:
        """(key, value, why it needs nothing or None) of what nothing has looked up."""
        for key, value in self._given.items():
            if key in self._read or (key in FIXED and value in FIXED[key]):
                continue
            yield key, value, NOTES.get(key)


def read_settings(content: Any, file: str) -> dict[str, Any]:
    """Dotted key -> value. Raises ValueError for what is no file of PySlowFast."""
    if not isinstance(content, Mapping) or not isinstance(content.get("MODEL"), Mapping):
        raise ValueError(f"{file}: there is no MODEL in it: is it a configuration of PySlowFast?")
    return dict(_flat(content))


def _flat(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", _decoded(value)


def _decoded(value: Any) -> Any:
    """As PySlowFast does, 1e-4 and (1, 3, 3) are numbers though YAML reads texts."""
    if isinstance(value, str):
        try:
            value = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            return value
    return list(value) if isinstance(value, tuple) else value
