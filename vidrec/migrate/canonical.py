"""One spelling for configurations of MMAction2 that mean the same."""

import posixpath
from collections.abc import Mapping
from typing import Any

from vidrec.migrate.expressions import Symbol

# What MMEngine's runner reads; other names at the top of a file are only there to be referred to.
LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")
OF_TRAINING = frozenset(
    {
        "train_cfg", "val_cfg", "test_cfg", "optim_wrapper", "default_hooks", "custom_hooks",
        "custom_imports", "env_cfg", "auto_scale_lr", "resume", "work_dir", "launcher",
        "log_level", "log_processor", "default_scope", "visualizer", "randomness", "compile",
        "experiment_name", "sync_bn", "model_wrapper_cfg", "find_unused_parameters",
        "efficient_conv_bn_eval",
    }
)  # fmt: skip
READ = OF_TRAINING | {
    *LOADERS, "model", "param_scheduler", "val_evaluator", "test_evaluator", "load_from"
}  # fmt: skip
_SCOPES = ("mmaction.", "mmdet.", "mmengine.")
FILES = ("ann_file", "exclude_file", "label_file", "proposal_file", "data_prefix")


def canonical(values: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a composed configuration that MMEngine reads, with lists for tuples, plain
    names for types, text for keys, and paths that include `data_root`.
    """
    kept = {key: _plain(value) for key, value in values.items() if key in READ}
    for loader in LOADERS:
        if isinstance(kept.get(loader), dict) and isinstance(kept[loader].get("dataset"), dict):
            kept[loader]["dataset"] = _with_root(kept[loader]["dataset"])
    return kept


def _plain(value: Any, key: str = "") -> Any:
    if isinstance(value, Mapping):
        return {
            str(name): _plain(child, str(name))
            for name, child in value.items()
            if name != "_scope_"
        }
    if isinstance(value, list | tuple):
        return [_plain(child, key) for child in value]
    if isinstance(value, Symbol):
        return value.last if key == "type" else value.name
    if key == "type" and isinstance(value, str):
        scope = next((scope for scope in _SCOPES if value.startswith(scope)), "")
        return value.removeprefix(scope)
    return value


def _with_root(dataset: dict[str, Any]) -> dict[str, Any]:
    """A dataset whose paths do not depend on its `data_root`, nor those of the datasets in it."""
    made = dict(dataset)
    root = made.pop("data_root", None) or ""
    for key in FILES:
        if key in made:
            made[key] = _joined(root, made[key])
    for key in ("datasets", "dataset"):
        if isinstance(made.get(key), list):
            made[key] = [_with_root(one) if isinstance(one, dict) else one for one in made[key]]
        elif isinstance(made.get(key), dict):
            made[key] = _with_root(made[key])
    return made


def _joined(root: str, path: Any) -> Any:
    if isinstance(path, dict):
        return {key: _joined(root, child) for key, child in path.items()}
    if not isinstance(path, str) or "://" in path:
        return path
    return posixpath.normpath(posixpath.join(root, path)) if root or path else path
