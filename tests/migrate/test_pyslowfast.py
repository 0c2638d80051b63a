"""Files of PySlowFast become an experiment with the values that they have there."""

import pytest
import yaml

from vidrec.migrate.checked import checked
from vidrec.migrate.command_line import arguments
from vidrec.migrate.pyslowfast import migrate_pyslowfast

# As published for SlowFast 4x16 on Kinetics-400, in part.
SLOWFAST = """
TRAIN: {DATASET: kinetics, BATCH_SIZE: 64, EVAL_PERIOD: 10, AUTO_RESUME: True}
DATA:
  NUM_FRAMES: 32
  SAMPLING_RATE: 2
  TRAIN_JITTER_SCALES: [256, 340]
  TRAIN_CROP_SIZE: 224
  TEST_CROP_SIZE: 256
  PATH_TO_DATA_DIR: /disk/lists
  PATH_PREFIX: /disk/videos
SLOWFAST: {ALPHA: 4, BETA_INV: 8, FUSION_CONV_CHANNEL_RATIO: 2, FUSION_KERNEL_SZ: 7}
RESNET:
  DEPTH: 101
  ZERO_INIT_FINAL_BN: True
  NUM_BLOCK_TEMP_KERNEL: [[3, 3], [4, 4], [23, 23], [3, 3]]
SOLVER:
  BASE_LR: 0.2
  LR_POLICY: cosine
  MAX_EPOCH: 196
  WEIGHT_DECAY: 1e-4
  WARMUP_EPOCHS: 34
  WARMUP_START_LR: 0.01
MODEL: {NUM_CLASSES: 12, ARCH: slowfast, DROPOUT_RATE: 0.4}
TEST: {NUM_ENSEMBLE_VIEWS: 4, NUM_SPATIAL_CROPS: 1}
NUM_GPUS: 8
RNG_SEED: 3
"""


def migrated(text, tmp_path, **changes):
    content = yaml.safe_load(text)
    for key, value in changes.items():
        section, _, name = key.partition("__")
        content.setdefault(section, {})[name] = value
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
    return checked(migrate_pyslowfast(tmp_path / "mine.yaml"))


def test_the_composed_command_has_the_values_of_the_file(tmp_path, compose):
    result = migrated(SLOWFAST, tmp_path)
    assert result.missing == []
    conf = compose(*arguments(result))
    backbone = conf.model.net["backbone"]
    slow, fast = backbone["slow_pathway"], backbone["fast_pathway"]
    assert (slow["depth"], fast["depth"], slow["fusion_kernel"]) == (101, 101, 7)
    assert (backbone["resample_rate"], backbone["speed_ratio"], backbone["channel_ratio"]) == (
        4,
        4,
        8,
    )
    assert (slow["speed_ratio"], slow["channel_ratio"], fast["base_channels"]) == (4, 8, 8)
    assert conf.model.net["cls_head"]["num_classes"] == 12
    assert conf.model.net["cls_head"]["dropout_ratio"] == 0.4
    assert conf.model.net["mean"] == [114.75] * 3  # 0.45 of 255
    assert conf.model.net["std"] == [57.375] * 3
    train, test = conf.data.train, conf.data.test
    assert (train["sampling"]["clip_len"], train["sampling"]["frame_interval"]) == (32, 2)
    assert test["sampling"]["num_clips"] == 4
    steps = [(s["_target_"].rsplit(".")[-1], s) for s in train["steps"].values() if s]
    assert [name for name, _ in steps] == ["RandomRescale", "RandomCrop", "Flip"]
    assert (steps[0][1]["scale_range"], steps[1][1]["size"]) == ([256, 340], 224)
    assert [s["_target_"].rsplit(".")[-1] for s in test["steps"].values() if s] == [
        "Resize",
        "CenterCrop",
    ]
    assert (train["records"]["path"], train["prefix"]) == ("/disk/lists/train.csv", "/disk/videos")
    assert test["records"]["path"] == "/disk/lists/test.csv"
    schedule = conf.schedule
    assert (schedule.epochs, schedule.batch_size, schedule.base_batch_size) == (196, 8, 64)
    assert (schedule.optimizer["lr"], schedule.optimizer["nesterov"]) == (0.2, True)
    assert (schedule.val_interval, schedule.clip_norm, conf.runtime.seed) == (10, None, 3)
    warmup, decay = schedule.lr.values()
    assert (warmup["start_factor"], warmup["end"]) == (0.05, 34)  # 0.01 of 0.2
    assert (decay["T_max"], decay["end"], decay.get("begin", 0)) == (196, 196, 0)
    rules = [rule for rule in schedule.param_groups.values() if rule]
    assert rules == [{"kind": "norm", "weight_decay": 0}]  # BN.WEIGHT_DECAY


@pytest.mark.slow
def test_steps_with_relative_rates(tmp_path, compose):
    steps = {"LR_POLICY": "steps_with_relative_lrs", "STEPS": [0, 94, 154], "LRS": [1, 0.1, 0.01]}
    result = migrated(SLOWFAST, tmp_path, **{f"SOLVER__{k}": v for k, v in steps.items()})
    drop = list(compose(*arguments(result)).schedule.lr.values())[-1]
    assert (drop["milestones"], drop["gamma"]) == ([94, 154], pytest.approx(0.1))


@pytest.mark.slow
def test_a_wave_after_the_warm_up(tmp_path, compose):
    result = migrated(SLOWFAST, tmp_path, SOLVER__COSINE_AFTER_WARMUP=True)
    decay = list(compose(*arguments(result)).schedule.lr.values())[-1]
    assert (decay["begin"], decay["T_max"], decay["end"]) == (34, 162, 196)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arch", "more", "stem", "net"),
    [
        ("slow", {}, "slowonly_r50", {"depth": 50}),
        ("i3d", {"NONLOCAL": {"LOCATION": [[[]], [[1, 3]], [[1, 3, 5]], [[]]]}}, "i3d_imagenet",
         {"non_local": [[0, 0, 0], [0, 1, 0, 1], [0, 1, 0, 1, 0, 1], [0, 0, 0]],
          "non_local_mode": "dot_product"}),
        ("c2d", {}, "c2d_", {"depth": 50}),
        ("x3d", {"X3D": {"WIDTH_FACTOR": 2.0, "DEPTH_FACTOR": 2.2, "BOTTLENECK_FACTOR": 2.25}},
         "x3d_", {"gamma_w": 1, "gamma_b": 2.25, "gamma_d": 2.2}),
        ("mvit", {"MVIT": {"REL_POS_SPATIAL": True, "DEPTH": 24, "DROPPATH_RATE": 0.3}}, "mvit-",
         {"arch": "base", "drop_path_rate": 0.3}),
    ],
)  # fmt: skip
def test_the_other_architectures(arch, more, stem, net, tmp_path, compose):
    text = yaml.safe_dump(
        {"MODEL": {"ARCH": arch}, "DATA": {"NUM_FRAMES": 16}, "NUM_GPUS": 8} | more
    )
    result = migrated(text, tmp_path)
    assert result.missing == []
    assert result.problem is None
    assert result.experiment.startswith(stem)
    conf = compose(*arguments(result))
    assert net.items() <= conf.model.net["backbone"].items()
    assert conf.data.train["sampling"]["clip_len"] == 16


@pytest.mark.slow
def test_detection(tmp_path, compose):
    changes = {
        "TRAIN__DATASET": "ava", "DETECTION__ENABLE": True, "MODEL__NUM_CLASSES": 80,
        "AVA__DETECTION_SCORE_THRESH": 0.7, "AVA__TEST_PREDICT_BOX_LISTS": ["x.csv"],
        "RESNET__SPATIAL_STRIDES": [[1, 1], [2, 2], [2, 2], [1, 1]],
        "RESNET__SPATIAL_DILATIONS": [[1, 1], [1, 1], [1, 1], [2, 2]],
    }  # fmt: skip
    text = SLOWFAST.replace("  PATH_TO_DATA_DIR: /disk/lists\n  PATH_PREFIX: /disk/videos\n", "")
    result = migrated(text, tmp_path, **changes)
    assert [row.key for row in result.missing] == ["AVA.TEST_PREDICT_BOX_LISTS"]
    conf = compose(*arguments(result))
    assert conf.data.num_classes == 81  # with the background
    assert conf.model.net["roi_head"]["bbox_roi_extractor"]["output_size"] == 7
    assert conf.model.net["backbone"]["slow_pathway"]["dilations"] == [1, 1, 1, 2]
    for split in (conf.data.train, conf.data.val):
        assert split["records"]["person_det_score_thr"] == 0.7


def test_unknown_keys_are_listed_and_unknown_networks_refused(tmp_path):
    result = migrated(SLOWFAST, tmp_path, MULTIGRID__SHORT_CYCLE=True, RESNET__NUM_GROUPS=32)
    assert [row.key for row in result.missing] == ["MULTIGRID.SHORT_CYCLE", "RESNET.NUM_GROUPS"]
    with pytest.raises(ValueError, match="vidrec has no vit"):
        migrated(SLOWFAST, tmp_path, MODEL__ARCH="vit")
    with pytest.raises(ValueError, match="=charades; there are"):
        migrated(SLOWFAST, tmp_path, TRAIN__DATASET="charades")
    (tmp_path / "other.yaml").write_text("a: 1\n")
    with pytest.raises(ValueError, match="there is no MODEL in it"):
        migrate_pyslowfast(tmp_path / "other.yaml")
