"""Bad input gets a sentence with the path, the value and the way out, before data is opened."""

import subprocess
import sys

import pytest

import vidrec
from tests.paths import ROOT
from vidrec.errors import ConfigError

KINETICS = ["model=tsn", "data=kinetics400"]


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        # unknown keys, wherever they are and however they are given
        (["schedule.epocs=3"], ["schedule.epocs", "did you mean 'epochs'"]),
        (["+schedule.epocs=3"], ["schedule.epocs", "did you mean 'epochs'"]),
        (["modle.weights=null"], ["modle", "write model.weights=null"]),
        (["runtime.wandb.moed=offline"], ["runtime.wandb.moed", "did you mean 'mode'"]),
        (["model.net.backbone.detph=18"], ["model.net.backbone.detph", "did you mean 'depth'"]),
        (["+model.net.backbone.detph=18"], ["model.net.backbone.detph", "did you mean 'depth'"]),
        (  # options that a network passes on to the one it is built on
            ["model=slowonly", "+model.net.backbone.conv1_kernal=[1,7,7]"],
            ["model.net.backbone.conv1_kernal", "did you mean 'conv1_kernel'"],
        ),
        (  # and one that it sets itself
            ["model=slowfast", "+model.net.backbone.slow_pathway.extra_channels=[0,0,0,0]"],
            ["SlowPathway takes no 'extra_channels'"],
        ),
        (
            ["data.transforms.train.crop.scale=[1,0.5]"],
            ["data.transforms.train.crop.scale", "did you mean 'scales'"],
        ),
        (["schedule.optimizer.momentun=0.8"], ["schedule.optimizer.momentun", "'momentum'"]),
        (
            ["+schedule.param_groups.head={name: cls_head, lrr: 5}"],
            ["schedule.param_groups.head.lrr", "did you mean 'lr'"],
        ),
        # wrong types
        (
            ['model.net.mean="[128,128,128]"'],
            ["model.net.mean", "'[128,128,128]'", "without the inner quotes"],
        ),
        (["model.net.backbone.depth=fifty"], ["model.net.backbone.depth", "'fifty'"]),
        (
            ["model=slowonly", "++model.net.backbone.norm_eval=1"],
            ["model.net.backbone.norm_eval", "1 is not bool"],
        ),
        (["data.transforms.train.flip.flip_ratio=yes"], ["flip.flip_ratio", "'yes'"]),
        (["data.transforms.train.flip=0.5"], ["data.transforms.train.flip", "_target_"]),
        # missing arguments and classes
        (["~model.net.cls_head.num_classes"], ["model.net.cls_head.num_classes", "needs a value"]),
        (["data=videos"], ["data.name", "data.root", "data.num_classes", "needs a value"]),
        (
            ["data.sampling.train._target_=vidrec.data.clips.sampling.DenseSampleFrame"],
            ["data.sampling.train._target_", "did you mean 'DenseSampleFrames'"],
        ),
        (["model.net.backbone._target_=nothere.ResNet"], ["_target_", "no module 'nothere'"]),
        # values out of range
        (["schedule.epochs=0"], ["schedule.epochs=0", "[1,"]),
        (["schedule.ema=1.5"], ["schedule.ema=1.5"]),
        (["runtime.num_workers=-1"], ["runtime.num_workers=-1"]),
        (["data.on_bad_video=skp"], ["data.on_bad_video='skp'", "did you mean 'skip'"]),
        # values that cannot be right
        (["schedule.optimizer.lr=inf"], ["schedule.optimizer.lr=inf", "not a finite number"]),
        (["schedule.optimizer.weight_decay=nan"], ["weight_decay=nan", "not a finite number"]),
        (["schedule.lr.decay.eta_min=nan"], ["schedule.lr.decay.eta_min=nan"]),
        (["schedule.lr.decay.eta_min=10"], ["eta_min=10 is above schedule.optimizer.lr=0.01"]),
        (["schedule.optimizer.momentum=5"], ["momentum=5 is outside [0, 0.9999]"]),
        (["schedule.optimizer.lr=-1"], ["schedule.optimizer.lr=-1 is outside [0, 1000]"]),
        (["schedule/optimizer=adamw", "schedule.optimizer.betas=[0.9,2]"], ["betas=2 is outside"]),
        (["+schedule.param_groups.a={name: a, lr: -1}"], ["schedule.param_groups.a.lr=-1 is out"]),
        (["schedule.ema=0"], ["schedule.ema=0", "outside"]),
        (["schedule.ema=1"], ["schedule.ema=1", "outside"]),
        (["schedule.clip_norm=nan"], ["schedule.clip_norm=nan is not a finite number"]),
        (["model=bmn", "model.net.num_samples=1e12"], ["model.net.num_samples", "is not int"]),
        (["model=bmn", "model.net.num_samples=1000000000000"], ["num_samples=1000000000000 is l"]),
        # other kinds of values where a class is to be named
        (["schedule.mixing=5"], ["schedule.mixing=5", "choose schedule/mixing=NAME"]),
        (["schedule.mixing.alpha=0.2"], ["schedule.mixing={'alpha': 0.2}", "_target_"]),
        (["model=bmn", "data.windows=[]"], ["data.windows=[] is no mapping with a _target_"]),
        (["~schedule.optimizer._target_"], ["schedule.optimizer={", "_target_"]),
        (["~schedule.optimizer.lr"], ["schedule.optimizer.lr=None is not a number"]),
        (["schedule.optimizer.lr=[1]"], ["schedule.optimizer.lr=[1] is not a number"]),
        (["schedule.optimizer._partial_=false"], ["schedule.optimizer needs _partial_: true"]),
        (["schedule.lr.decay=5"], ["schedule.lr.decay=5 is no mapping"]),
        (["data.sampling.train=5"], ["data.sampling.train=5 is no mapping"]),
        (["model.net.cls_head=5"], ["model.net.cls_head: 5 is not Module"]),
        (
            ["schedule/mixing=mixup_cutmix", "schedule.mixing.choices.mixup=5"],
            ["schedule.mixing.choices", "'mixup': 5"],
        ),
        # right alone, wrong together
        ([*KINETICS, "data.stack=3"], ["data.stack=3", "9 channels", "data.channels=3"]),
        ([*KINETICS, "data/format=flow"], ["model.channels=3", "2 channels"]),
        (["data.task=detection"], ["recognition (model.task)", "detection (data.task)"]),
        (["model.net.mean=[1,2,3,4]"], ["model.net.mean", "4 values for 3 channels"]),
        (["model.net.cls_head.num_classes=7"], ["num_classes=7", "data.num_classes=8"]),
        (
            [*KINETICS, "schedule.epochs=50", "schedule.lr.drop.milestones=[40,80]"],
            ["schedule.lr.drop.milestones", "[80]", "epochs=50"],
        ),
        (["schedule.val_begin=99"], ["schedule.val_begin=99"]),
        (
            ["schedule=adamw_200e_cosine", "schedule.optimizer.lr=1e-6"],
            ["schedule.lr.decay.eta_min=1.6e-05", "schedule.optimizer.lr=1e-06", "eta_min_ratio"],
        ),
        (
            ["schedule=sgd_180e_cosine", "schedule.lr.decay.T_max=200"],
            ["T_max=200", "write", "T_max=180"],
        ),
        (
            ["schedule=sgd_10e_cosine", "schedule.lr.decay.T_max=4"],
            ["T_max=4", "turns up", "T_max=8"],
        ),
        (
            ["schedule=adamw_30e_cosine", "schedule.lr.decay.end=15"],
            ["schedule.lr.decay.end=15", "stay", "decay.end=30 schedule.lr.decay.T_max=30"],
        ),
        (
            ["schedule=sgd_256e_drops", "schedule.epochs=197", "schedule.lr.warmup.end=198"],
            ["schedule.lr.warmup.end=198", "epochs=197"],
        ),
        (
            ["runtime.num_workers=0", "runtime.persistent_workers=true"],
            ["runtime.persistent_workers", "num_workers"],
        ),
        (["model.clip.frames_per_view=2"], ["frames_per_view=2", "does not divide the 3 frames"]),
        (["model.clip.size=80"], ["model.clip.size=80", "short_side=64"]),
        ([*KINETICS, "schedule.epochs=0", "runtime.seed=-1"], ["2 problems", "seed", "epochs"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_problem_is_named_with_its_path_and_the_way_out(compose, overrides, parts):
    with pytest.raises(ConfigError) as raised:
        compose(*overrides)
    for part in parts:
        assert part in str(raised.value)


def test_valid_configurations_pass(compose):
    waves = ["schedule=sgd_180e_cosine", "schedule.epochs=360", "schedule.lr.decay.end=360"]
    for overrides in ([], KINETICS, ["data=motions"], ["model=tsn", "data=sthv2"], waves):
        compose(*overrides)


def test_a_typo_on_the_command_line_stops_before_anything_is_written(tmp_path):
    train = ROOT / "train.py"
    done = subprocess.run(
        [sys.executable, train, "schedule.epocs=3"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "schedule.epocs: there is no such key; did you mean 'epochs'?" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_reference_that_leads_nowhere_is_named(compose):
    with pytest.raises(
        ConfigError, match=r"model\.task refers to schedule\.gone, which is not there"
    ):
        compose("model.task=${schedule.gone}")


STEPS = "data.transforms.train"


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        ([f"{STEPS}.flp=null"], [f"{STEPS}.flp", "drops nothing", "did you mean 'flip'"]),
        ([f"++{STEPS}.flp=null"], [f"{STEPS}.flp", "did you mean 'flip'"]),
        (["schedule.lr.deacy=null"], ["schedule.lr.deacy", "did you mean 'decay'"]),
        (["schedule.lr={deacy: null}"], ["schedule.lr.deacy", "did you mean 'decay'"]),
        (
            ["schedule=sgd_100e", "schedule.lr.drp.milestones.0=3"],
            ["schedule.lr.drp:", "'drop'", "+schedule.lr.drp=... if it is new"],
        ),
        (["model=mvit", "schedule.param_groups.bais.lr=2"], ["param_groups.bais", "'bias'"]),
        (["schedule.param_groups.head={lr: 5}"], ["+schedule.param_groups.head=..."]),
        (["schedule/mixing=mixup_cutmix", "schedule.mixing.choices.mixpu.alpha=3"], ["'mixup'"]),
        ([f"+{STEPS}.flop={{_target_: a}}", f"{STEPS}.flup.p=1"], ["'flop' or 'flip'"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_name_that_no_file_defines_takes_a_plus(compose, overrides, parts):
    with pytest.raises(ConfigError) as raised:
        compose(*overrides, config_name="evaluate")  # of train.py: the sweep below
    for part in parts:
        assert part in str(raised.value)


@pytest.mark.parametrize(
    "overrides",
    [
        [f"{STEPS}.flip=null", "schedule.lr.decay=null"],
        ["model=mvit", "schedule.param_groups.bias.lr=2"],
        ["schedule/mixing=mixup_cutmix", "schedule.mixing.probabilities={mixup: 0.4, cutmix: 0.4}"],
        [
            f"+{STEPS}.blur={{_target_: torchvision.transforms.v2.GaussianBlur, kernel_size: 3}}",
            f"{STEPS}.blur.kernel_size=5",
        ],
        ["experiment=tin_imagenet-pretrained-r50_8xb6-1x1x8-40e_sthv1-rgb", "data.root=/x"],
    ],
    ids=" ".join,
)
def test_a_name_that_a_file_or_a_plus_defines_passes(compose, overrides):
    compose(*overrides)


@pytest.mark.parametrize(
    ("entry", "wrong"),
    [
        ("gray: {_target_: torchvision.transforms.v2.RandomGrayscale}", None),
        ("flip: null", None),
        ("flp: null", "flp=null drops nothing: no file defines 'flp'; did you mean 'flip'"),
    ],
)
def test_an_experiment_may_add_a_step_but_not_drop_an_unknown_one(
    tmp_path, monkeypatch, entry, wrong
):
    folder = tmp_path / "conf" / "experiment"
    folder.mkdir(parents=True)
    text = f"# @package _global_\ndata:\n  transforms:\n    train:\n      {entry}\n"
    (folder / "mine.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    if wrong is None:
        vidrec.compose("experiment=mine")
    else:
        with pytest.raises(ConfigError, match=wrong):
            vidrec.compose("experiment=mine")


def test_a_misspelt_name_in_a_sweep_fails_each_run_with_a_sentence(tmp_path, run):
    _, output = run(
        ROOT / "train.py", "-m", f"{STEPS}.flp=null,0", "runtime.dashboard=none", cwd=tmp_path
    )
    assert "no file defines 'flp'; did you mean 'flip'?" in output
    assert "2 of 2 runs failed" in output
    assert "Traceback" not in output
