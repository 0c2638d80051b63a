"""Pipelines of MMAction2 as sampling and named steps."""

import importlib
import inspect
import re
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import yaml

from vidrec.config.compose import conf_dir
from vidrec.config.signatures import wrong_arguments
from vidrec.migrate.composed import ABSENT, compose_as_written, value_at
from vidrec.migrate.overriding import same
from vidrec.migrate.translation import Translation, wrong_argument

Steps = Sequence[Mapping[str, Any]]

# What reads, arranges and packs the frames: the dataset, the network and the collate function here.
READERS = {
    "DecordInit", "DecordDecode", "OpenCVInit", "OpenCVDecode", "PyAVInit", "PyAVDecode",
    "PIMSInit", "PIMSDecode", "RawFrameDecode", "FormatShape", "PackActionInputs", "ToTensor",
    "Transpose", "LoadLocalizationFeature", "GenerateLocalizationLabels", "LoadProposals",
    "PackLocalizationInputs",
}  # fmt: skip
_HARMLESS = {"io_backend": "disk", "num_threads": None, "mode": "accurate", "meta_keys": None}
SAMPLERS = {
    "SampleFrames": "segments", "DenseSampleFrames": "dense", "UniformSample": "uniform",
    "SampleAVAFrames": "",
}  # fmt: skip
# Classes with another name: type, the argument that chooses, its value -> class here.
RENAMED = {("PytorchVideoWrapper", "op", "RandAugment"): "RandAugment"}
GEOMETRIC = "vidrec.data.transforms.geometric"
PHOTOMETRIC = [
    f"vidrec.data.transforms.{name}" for name in ("photometric", "rand_augment", "erasing")
]


def translate_pipeline(
    pipelines: Mapping[str, tuple[Steps | None, Steps | None]],
    result: Translation,
    keys: str = "{}_dataloader.dataset.pipeline",
) -> None:
    """Note what the pipelines change, by split: the given one and the published one.

    keys: where they are from, with {} for the split.
    """
    kinds = {split: _sampler(given) for split, (given, _) in pipelines.items() if given is not None}
    for split, (given, published) in pipelines.items():
        if given is None or same(given, published):
            continue
        key = keys.format(split)
        _readers(split, key, given, published or [], result)
        _sampling(split, key, given, published or [], kinds, result)
        _steps(split, key, given, result)


def _sampler(steps: Steps) -> str | None:
    return next((step["type"] for step in steps if step.get("type") in SAMPLERS), None)


def _readers(split: str, key: str, given: Steps, published: Steps, result: Translation) -> None:
    """Options of what reads and packs that the published pipeline does not have."""
    known = [(s.get("type"), k, repr(v)) for s in published for k, v in s.items()]
    for i, step in enumerate(given):
        kind = step.get("type")
        if kind not in READERS:
            continue
        for name, value in step.items():
            if name == "type" or (kind, name, repr(value)) in known:
                continue
            if name == "top_k":
                result.argument(f"data.{split}.top_k", value, f"{key}.{i}.top_k")
            elif name == "pgm_proposals_dir":
                result.argument(f"data.{split}.folder", value, f"{key}.{i}.{name}")
            elif name == "pgm_features_dir":
                result.note(f"{key}.{i}.{name}", value, "one file holds proposals and features")
            elif name == "input_format" and value in ("NCHW", "NCTHW"):
                continue
            elif name not in _HARMLESS or _HARMLESS[name] not in (None, value):
                why = f"reading files has no such option ({kind})"
                result.lack(f"{key}.{i}.{name}", value, why)


def _sampling(
    split: str,
    key: str,
    given: Steps,
    published: Steps,
    kinds: Mapping[str, str | None],
    result: Translation,
) -> None:
    kind = _sampler(given)
    if kind is None:
        return
    place = next(i for i, step in enumerate(given) if step.get("type") == kind)
    step = given[place]
    own = str(value_at(result.cfg, f"data.{split}.sampling._target_")).rsplit(".", 1)[-1]
    own = {"KeyFrameSampling": "SampleAVAFrames"}.get(own, own)
    if kind not in (_sampler(published), own):
        if len(set(kinds.values())) == 1:
            result.choose(f"data/sampling={SAMPLERS[kind]}")
        else:
            result.lack(f"{key}.{place}.type", kind, "data/sampling is one for all splits")
            return
    before = next((s for s in published if s.get("type") == kind), {})
    for name in [*step, *(name for name in before if name not in step)]:
        value = step.get(name, ABSENT)
        if name == "type" or same(value, before.get(name, ABSENT)):
            continue
        source = f"{key}.{place}.{name}"
        if name == "test_mode" and (split != "train") == bool(value is True):
            continue
        if name in ("out_of_bound_opt", "keep_tail_frames", "start_index"):
            result.lack(source, value, "sampling here has no such option")
            continue
        if kind == "SampleFrames" and name == "num_clips" and value == ABSENT:
            value = 1
        result.argument(f"data.{split}.sampling.{name}", value, source)


def _steps(split: str, key: str, given: Steps, result: Translation) -> None:
    """The steps on frames, against those of the experiment."""
    wanted = []
    for i, step in enumerate(given):
        if step.get("type") in READERS or step.get("type") in SAMPLERS:
            continue
        node = _node(step)
        if isinstance(node, str):
            result.lack(f"{key}.{i}", dict(step), node)
        else:
            wanted.append((f"{key}.{i}", node))
    # Frames are decoded at the size of the crop: what changes colours comes after.
    wanted.sort(key=lambda item: not item[1]["_target_"].startswith(GEOMETRIC))
    own = value_at(result.cfg, f"data.{split}.steps")
    own = {name: step for name, step in (own if isinstance(own, dict) else {}).items() if step}
    names = list(own)
    kinds = [str(own[name]["_target_"]) for name in names]
    wanted_kinds = [str(node["_target_"]) for _, node in wanted]
    if split == "train" and kinds != wanted_kinds and (name := _file_with(wanted_kinds)):
        choose_transforms(f"data/transforms={name}", result)
    opcodes = SequenceMatcher(None, kinds, wanted_kinds, autojunk=False).get_opcodes()
    where, rebuilding, taken = f"data.{split}.steps", False, dict(own)
    for tag, a, b, c, d in opcodes:
        if tag == "equal" and not rebuilding:
            for name, (source, node) in zip(names[a:b], wanted[c:d], strict=True):
                result.arguments(f"{where}.{name}", own[name], node, source)
            continue
        for name in names[a:b]:
            dropped = [step["type"] for step in given]
            result.want(f"{where}.{name}", None, key, given=dropped)
        for source, node in wanted[c:d]:
            name = _name(node["_target_"], taken)
            taken[name] = node
            result.want(f"{where}.{name}", node, source, new=True)
        rebuilding = rebuilding or d > c  # what comes after an addition is added after it


def _file_with(kinds: list[str]) -> str | None:
    """The file of conf/data/transforms that has steps of these classes."""
    files = sorted(Path(conf_dir(), "data", "transforms").glob("*.yaml"))
    found = [path.stem for path in files if list(_targets(path).values()) == kinds]
    return found[-1] if found else None  # `boxes` is the choice of detection alone


def _targets(path: Path) -> dict[str, str]:
    """Name -> class of the training steps of a file, those of the files that it builds on first."""
    content = yaml.safe_load(path.read_text())
    found: dict[str, str] = {}
    for parent in content.get("defaults", []):
        if parent != "_self_":
            found |= _targets(path.with_name(f"{parent}.yaml"))
    own = {name: step.get("_target_") for name, step in content["train"].items()}
    return found | {name: target for name, target in own.items() if target}


def choose_transforms(choice: str, result: Translation) -> None:
    """Choose the training steps of a file, unless the experiment changes steps of that name."""
    cfg = compose_as_written([f"experiment={result.experiment}", choice])
    if not [*wrong_arguments({"steps": value_at(cfg, "data.train.steps")})]:
        result.choose(choice)


def _node(step: Mapping[str, Any]) -> dict[str, Any] | str:
    """A step as a node, or why there is none."""
    kind, arguments = step.get("type", ""), {k: v for k, v in step.items() if k != "type"}
    for (name, chooser, value), own in RENAMED.items():
        if kind == name and arguments.get(chooser) == value:
            kind = own
            del arguments[chooser]
    target = _target(kind)
    if target is None:
        return "there is no such step here; write one of your own or leave it out"
    for name, value in arguments.items():
        if problem := wrong_argument(target, name, value):
            return f"{name}: {problem}"
    return {"_target_": target, **arguments}


def _target(kind: str) -> str | None:
    for module in [GEOMETRIC, *PHOTOMETRIC]:
        found = getattr(importlib.import_module(module), kind, None)
        if inspect.isclass(found) and found.__module__ == module:
            return f"{module}.{kind}"
    return None


def _name(target: str, taken: Mapping[str, Any]) -> str:
    """A name for a new step."""
    kind = target.rsplit(".", 1)[1]
    plain = re.sub(r"(?<!^)(?=[A-Z])", "_", kind).lower()
    names = [plain, *(f"{plain}_{i}" for i in range(2, 100))]
    return next(name for name in names if name not in taken)
