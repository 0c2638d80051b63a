"""MMAction2's configurations as an experiment and overrides."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from vidrec.errors import did_you_mean
from vidrec.migrate.canonical import READ, canonical
from vidrec.migrate.composed import compose_as_written
from vidrec.migrate.loaders import translate_loaders
from vidrec.migrate.migrated import Migrated, settled
from vidrec.migrate.networks import translate_model
from vidrec.migrate.published import nearest, published
from vidrec.migrate.training import translate_training
from vidrec.migrate.translation import Row, Translation

NUM_TRIED = 2  # experiments that are compared in full
_IMAGE_LIBRARIES = ("timm.", "torchvision.")


def migrate(values: Mapping[str, Any], name: str, read: Collection[str] = ()) -> Migrated:
    """The experiment nearest to a composed configuration of MMAction2, and what to change in it.

    name: of the file. read: names at its top that other values are made of. Raises ValueError for
    an algorithm that vidrec does not have.
    """
    config = canonical(values)
    _check_algorithm(config)
    first, *others = nearest(config, name, NUM_TRIED)
    best = _migrated(config, first)
    for stem in others if best.size else []:
        best = min(best, _migrated(config, stem), key=lambda migrated: migrated.size)
    unread = [key for key in values if key not in READ and key not in read]
    why = "nothing reads this name, nor does MMAction2"
    return replace(best, notes=[*best.notes, *(Row(key, values[key], why) for key in unread)])


def _migrated(config: Mapping[str, Any], stem: str) -> Migrated:
    result = _translated(config, stem, [])
    if result.choices:  # they decide what the other values are compared with
        result = _translated(config, stem, result.choices)
    return settled(stem, result)


def _translated(config: Mapping[str, Any], stem: str, choices: list[str]) -> Translation:
    cfg = compose_as_written([f"experiment={stem}", *choices])
    result = Translation(cfg, list(choices), experiment=stem)
    for translate in (translate_loaders, translate_model, translate_training):
        translate(config, published()[stem], result)
    return result


def _check_algorithm(config: Mapping[str, Any]) -> None:
    """Raise ValueError if no experiment has the network, or what takes its place."""
    model = config.get("model")
    if not isinstance(model, Mapping) or "type" not in model:
        raise ValueError(
            "there is no `model` in the file: pass a whole configuration of MMAction2 1.x, with "
            "the files of its _base_"
        )
    parts: list[tuple[str, ...]] = [("type",)]
    backbone = model.get("backbone")
    if isinstance(backbone, Mapping) and not str(backbone.get("type")).startswith(_IMAGE_LIBRARIES):
        parts.append(("backbone", "type"))
    for path in parts:
        known = {_at(recipe["model"], path) for recipe in published().values()}
        kind = _at(model, path)
        if kind not in known:
            hint = did_you_mean(str(kind), sorted(str(other) for other in known - {None}))
            where = ".".join(("model", *path))
            raise ValueError(f"vidrec has no {kind} ({where}); {hint}")


def _at(node: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        node = node.get(key) if isinstance(node, Mapping) else None
    return node
