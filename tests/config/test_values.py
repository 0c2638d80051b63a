"""Values arrive as they were written: the oracle is the string itself."""

import os

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

import vidrec
from tests.paths import ROOT
from vidrec.config.command_line import read
from vidrec.config.compose import composed, register
from vidrec.config.overrides import lenient
from vidrec.config.values import quoted, readable
from vidrec.errors import ConfigError

NASTY = [
    "runs/tsm_tiny_folders,data.name=lip-dc9a9d98/best.pt", "a b/c.pt", " a ", "a=b", "a,b",
    "a(1).pt", "(1)", "a#b", "#", "it's", '6"', "'", "''x", "[x]", "[x", "x]", "[a,b]/c", "{",
    "{a}", "{a: 1}", "a:b", "C:\\x", "a\\", "a\\'b", "a\\,b", "a\\ b", "é/ß/日本.pt", "a&b;c|d",
    "a*?", "$HOME/x", "1e3", "007", "1_000", "12", "-1", "true", "False", "nan", "on", "str(1)",
    "f(x)", "choice(a,b)", "a\tb", "a\nb", "%41", "@x", "!x", "^", "`x`", "<a>", "a+b", "++x",
    "~nobody_of_this_name/x", "-", "", "Null x", "x" * 300,
]  # fmt: skip


TEXTS = [
    "model.weights",
    "data.class_names",
    "runtime.resume",
    "runtime.wandb.project",
    "checkpoint",
]
# Numbers, words such as `true`, functions and lists may be meant where anything may stand.
MEANT = {"1e3", "1_000", "12", "-1", "true", "False", "nan", "str(1)", "choice(a,b)", ""}


def as_composed(*overrides):
    """The configuration that Hydra makes of the arguments for evaluate.py, before it is checked."""
    register()
    return composed("evaluate", lenient(readable(overrides)))


@pytest.mark.parametrize("first", range(0, len(NASTY), len(TEXTS)))
def test_a_text_is_what_is_written(first):
    written = dict(zip(TEXTS, NASTY[first:], strict=False))
    given = [f"{key}={text}" for key, text in written.items()]
    cfg = as_composed(*given)
    assert {key: OmegaConf.select(cfg, key) for key in written} == written
    assert readable(readable(given)) == readable(given)  # what was made readable stays


def test_so_is_a_path_through_the_checks_of_each_command():
    for text in ("runs/a,b=c/best (1).pt", "[x]", "it's #1/é.pt"):
        assert vidrec.compose(f"model.weights={text}").model.weights == text
        conf = vidrec.compose(f"checkpoint={text}", f"trust={text}", config_name="evaluate")
        assert conf.checkpoint == text
        assert text == "[x]" or conf.trust == [text]  # one word is a list of one


def test_texts_in_a_list_and_where_anything_may_stand():
    texts = [text for text in NASTY if text[:1] not in ("[", "{") and text not in MEANT]
    given = [f"+any.n{i}={text}" for i, text in enumerate(texts)]
    cfg = as_composed(f"trust=[{','.join(map(quoted, NASTY))}]", *given)
    assert list(cfg.trust) == NASTY
    assert [*cfg["any"].values()] == [text.strip() for text in texts]
    alone = [as_written for text in texts for as_written in readable([f"trust={text}"])]
    parsed = OverridesParser.create().parse_overrides(alone)
    assert [override.value() for override in parsed] == [[text] for text in texts]


def test_what_hydra_reads_stays():
    same = [
        "model.net.mean=[1,2,3]", "schedule.lr={a: {b: 1}}", "model.weights=null",
        "score=[a.npz,b.npz]", "schedule.epochs=3", "data.root='my videos'",
        "model.weights=${data.root}/a.pt", "~model.loss", "model.net.x=1e-3",
        "hydra.launcher.setup=[a,b]", "data.transforms.train.flip=null", "model=tsn",
        "+schedule.param_groups.head={name: cls_head, lr: 5}",
    ]  # fmt: skip
    assert readable(same) == same
    conf = vidrec.compose("data.root=/x", "model.weights=${data.root}/a (1),b.pt")
    assert conf.model.weights == "/x/a (1),b.pt"


def test_home_directories_are_found():
    home = os.path.expanduser("~")
    assert vidrec.compose("data.root=~/x").data.root == f"{home}/x"
    assert vidrec.compose("data.root=~root/x").data.root == os.path.expanduser("~root/x")
    given = ["score=[~/a(1).npz,b.npz]", "score_weights=[1,2]"]
    assert vidrec.compose(*given, config_name="evaluate").score == [f"{home}/a(1).npz", "b.npz"]
    assert vidrec.compose("data.root='~/x'").data.root == "~/x"  # in quotes: as it stands


def swept(*arguments):
    """The values of model.weights in the runs of a sweep."""
    line = read(["-m", *arguments], [ROOT / "conf"])
    register()
    return [composed("train", overrides).model.weights for overrides in line.of_runs()]


def test_commas_separate_the_values_of_a_sweep_each_of_which_is_what_is_written():
    assert swept("model.weights=a(1).pt,b=2.pt,é.pt,it's") == ["a(1).pt", "b=2.pt", "é.pt", "it's"]
    assert swept("model.weights='a,b',c") == ["a,b", "c"]
    assert swept("schedule.epochs=1,2", "model.weights=x") == ["x", "x"]


@pytest.mark.parametrize(
    ("argument", "parts"),
    [
        ("schedule.optimizer.lr=0.1,0.2", ["several values", "-m", "[0.1,0.2]"]),
        ("model.net.mean=[1,2", ["[1,2 is not a list", "close every bracket"]),
        ("data.labels={a: 1", ["not a mapping", "close every bracket"]),
        ("model=tsn,tsm", ["several values", "-m"]),
        ("schedule.epochs=abc", ["schedule.epochs"]),
        ("foo", ["foo"]),
    ],
)
def test_what_cannot_be_meant_is_refused_without_a_plus_that_nobody_typed(argument, parts):
    with pytest.raises(ConfigError) as raised:
        vidrec.compose(argument)
    assert "++" not in str(raised.value)
    for part in parts:
        assert part in str(raised.value)
