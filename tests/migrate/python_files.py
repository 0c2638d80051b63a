"""Writes configurations as the Python files that MMAction2 has."""

import copy
import pprint
from pathlib import Path
from typing import Any


def write_whole(config: dict[str, Any], path: Path) -> Path:
    """One file, as training dumps it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{name} = {_text(value)}\n" for name, value in config.items()))
    return path


def write_with_bases(config: dict[str, Any], path: Path) -> Path:
    """A file on two bases, whose values it changes, and from one of which it takes a pipeline."""
    config = copy.deepcopy(config)
    folder = path.parent / "_base_"
    model = config.pop("model")
    head = model.get("cls_head") or {}
    other = {"num_classes": -1, "not_there": {"type": "Other"}}
    base_model = model | ({"cls_head": head | other} if head else {"more": 1})
    steps = _steps(config)
    write_whole({"model": base_model}, folder / "models" / "net.py")
    hooks = config.pop("default_hooks", {})
    write_whole({"default_hooks": hooks, "steps": steps, "load_from": "other"}, folder / "run.py")
    lines = ["_base_ = ['_base_/models/net.py', '_base_/run.py']"]
    changed = {"cls_head": {"_delete_": True, **head}} if head else {"_delete_": True, **model}
    lines.append(f"model = {_text(changed)}")
    config.setdefault("load_from", None)
    for name, value in config.items():
        text = _text(value)
        if steps and name == "test_dataloader":
            text = f"dict({', '.join(_with_steps(value))})"
        lines.append(f"{name} = {text}")
    path.write_text("\n".join(lines) + "\n")
    return path


def write_with_read_base(config: dict[str, Any], path: Path) -> Path:
    """The pure Python style: imports, classes for types, and methods that change what is there."""
    config = copy.deepcopy(config)
    model, backbone = config.pop("model"), None
    if isinstance(model.get("backbone"), dict):
        backbone = model["backbone"].pop("type")
    write_whole({"model": model}, path.parent / "_base_" / "net.py")
    lines = ["from mmengine.config import read_base", "with read_base():"]
    lines.append("    from ._base_.net import *")
    if backbone is not None:
        lines.append(f"from mmaction.models import Backbone as {backbone.replace('.', '_')}")
        lines.append(f"model.update(dict(backbone=dict(type={backbone!r})))")
    lines += [f"{name} = {_text(value)}" for name, value in config.items()]
    path.write_text("\n".join(lines) + "\n")
    return path


def _text(value: Any) -> str:
    return pprint.pformat(value, sort_dicts=False)


def _steps(config: dict[str, Any]) -> list[Any]:
    loader = config.get("test_dataloader") or {}
    return copy.deepcopy((loader.get("dataset") or {}).get("pipeline") or [])


def _with_steps(loader: dict[str, Any]) -> list[str]:
    """The keywords of a loader whose pipeline is that of the base."""
    inner = {key: value for key, value in loader["dataset"].items() if key != "pipeline"}
    rest = {key: value for key, value in loader.items() if key != "dataset"}
    return [f"dataset=dict(pipeline={{{{_base_.steps}}}}, **{_text(inner)})", f"**{_text(rest)}"]
