"""Every key and choice that a sentence of the documentation names exists."""

import re
from dataclasses import asdict
from pathlib import Path

import pytest
from hydra.utils import get_object

from tests.docs.pages import PAGES, name
from vidrec.config.compose import conf_dir

_FENCE = re.compile(r"^[ ]*```.*?^[ ]*```$", re.MULTILINE | re.DOTALL)
_KEY = re.compile(r"[+~]*((?:model|data|schedule|runtime)(?:\.\w+)+)(?:=.*)?")
_CHOICE = re.compile(r"[+~]*((?:model|data|schedule)(?:/\w+)*)(?:@[\w.]+)?=([\w-]+)")
ELSEWHERE = {"CHANGELOG.md", "docs/zoo.md", "docs/differences.md", "docs/migrate.md"}
WRONG_ON_PURPOSE = {"flp", "deacy"}
OF_THE_READER = {"NAME", "FILE", "STEM", "mine", "kitchen", "kitchen_r34", "tsm_r34"}
FILES = (".pt", ".pth", ".yaml", ".txt", ".csv", ".json", ".safetensors", ".onnx")
OF_OTHERS = ("model.backbone.", "model.data_preprocessor.")  # keys of MMAction2
CONTEXTS = [
    ["model=tsn"],
    ["model=swin3d", "schedule/mixing=mixup_cutmix"],
    ["experiment=slowonly-lfb-nl_kinetics400-pretrained-r50_8xb12-4x16x1-20e_ava21-rgb"],
    ["model=slowfast_ava_8x8", "data=ava_kinetics"],
    ["model=slowonly_ava", "data=ava21", "data/format=movies"],
    ["model=slowonly_ava", "data=custom_boxes", "data.root=mine", "data/format=numbered_frames"],
    ["model=bmn", "data=activitynet"],
    ["model=bmn", "data=thumos14", "data/metric=segment_map"],
    ["model=bsn_pem", "data=activitynet_proposals"],
    ["model=tsn", "data=kinetics400", "data/format=rawframes"],
    ["model=tsn", "data=ucf101"],
    ["model=tsn_swin"],
]


def keys_in(node, prefix):
    """The dotted keys of a composed node, and the arguments that its classes would take."""
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        yield f"{prefix}.{key}"
        yield from keys_in(value, f"{prefix}.{key}")
    if "_target_" in node:
        function = get_object(node["_target_"])
        while hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        code = getattr(function, "__init__", function) if isinstance(function, type) else function
        yield from (f"{prefix}.{argument}" for argument in code.__code__.co_varnames)


@pytest.fixture(scope="module")
def known(compose):
    """Every key that there is with some choice of groups."""
    found = set()
    for overrides in CONTEXTS:
        conf = compose(*overrides)
        for group in ("model", "data", "schedule", "runtime"):
            found |= {group} | set(keys_in(asdict(getattr(conf, group)), group))
    return found


def spoken_of(page):
    """The words of a page that stand in code within its sentences and tables."""
    prose = _FENCE.sub("", page.read_text())
    for code in re.findall(r"`([^`\n]+)`", prose):
        yield from (word.strip("'\",") for word in code.split())


PROSE = [page for page in PAGES if name(page) not in ELSEWHERE]


@pytest.mark.parametrize("page", PROSE, ids=name)
def test_every_key_that_a_sentence_names_exists(page, known):
    for word in spoken_of(page):
        match = _KEY.fullmatch(word)
        if not match or word.endswith(FILES) or word.startswith(OF_OTHERS):
            continue
        key = match[1].rpartition(".")[0] if word.startswith("+") else match[1]
        if not WRONG_ON_PURPOSE & set(key.split(".")):
            assert re.sub(r"\.\d+$", "", key) in known, f"{name(page)}: {word}"


@pytest.mark.parametrize("page", PROSE, ids=name)
def test_every_choice_that_a_sentence_names_exists(page):
    for word in spoken_of(page):
        match = _CHOICE.fullmatch(word)
        if match and match[2] not in OF_THE_READER | {"null"}:
            assert Path(conf_dir(), match[1], f"{match[2]}.yaml").exists(), f"{name(page)}: {word}"
