"""What a card says of a result, and how to evaluate it once more."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from vidrec.config.compose import conf_dir, groups
from vidrec.config.schema import TrainConf
from vidrec.config.trust import untrusted_override
from vidrec.config.values import quoted
from vidrec.report.card import Card
from vidrec.report.fingerprints import digest_of_checkpoint, lists_of
from vidrec.weights.run_directory import overrides_of_run

# Keys of an evaluation that its scores depend on; the others say what to write, and where.
_OF_EVALUATION = ("split", "same_classes")


def evaluation_of(card: Card, file: Path, given: Sequence[str]) -> tuple[list[str], list[str]]:
    """The overrides of `evaluate` that repeat a card's, and the folders of their configurations.

    file: the report.json, which anybody may have made: see `vidrec.config.trust`. given: further
    overrides, which win. Raises FileNotFoundError if the checkpoint is gone, ValueError if the card
    asks for what it may not.
    """
    checkpoint = checkpoint_of(card, file)
    where = [f"checkpoint={quoted(str(checkpoint))}", f"run={quoted(str(file.parent))}"]
    if card.kind == "training":
        overrides, folders = overrides_of_run(checkpoint.parent, list(given))
        return [*overrides, "split=val", *where], folders
    if not card.overrides:
        raise ValueError(f"{file} does not say which command it comes from")
    replaced = {_key(override) for override in given}
    known = groups([Path(conf_dir()), *map(Path, card.folders)])
    kept = []
    for override in card.overrides:
        key = _key(override)
        if key in replaced or key.split(".")[0] in ("run", "checkpoint", "trust"):
            continue
        if key in ("dump", "pictures", "report"):
            continue
        is_harmless = key in _OF_EVALUATION or key.split(".")[0] == "runtime"
        if not is_harmless and (reason := untrusted_override(override, known)):
            raise ValueError(f"{file} asks for {override}, which is not repeated: {reason}")
        kept.append(override)
    return [*kept, *given, *where], card.folders


def checkpoint_of(card: Card, file: Path) -> Path:
    """The checkpoint of a card: where it was, or beside its report.json if that was moved along.

    Raises FileNotFoundError if it is in neither place.
    """
    name = Path(card.checkpoint)
    beside = [file.parent / name.name, file.parent.parent / name.name]
    places = [*beside, name] if card.kind == "training" else [name, *beside]
    for place in places:
        if card.checkpoint and place.is_file():
            return place
    raise FileNotFoundError(
        f"the checkpoint {card.checkpoint or 'of the report'} is not there: put it beside {file}"
    )


def differing_hashes(
    card: Card, conf: TrainConf, split: str, checkpoint: Path, samples: str
) -> list[str]:
    """A sentence for each hash that is not the card's. samples: the digest of the records now."""
    found = []
    if card.weights_sha256 and digest_of_checkpoint(checkpoint) != card.weights_sha256:
        found.append(f"{checkpoint} has other weights than those that were evaluated")
    for key, own in lists_of(asdict(conf.data), [split]).items():
        before = card.lists.get(key)
        if before is not None and before.get("sha256") != own["sha256"]:
            found.append(f"{own['file']} ({key}) has another content")
    before_samples = card.datasets.get(split, {}).get("sha256")
    if before_samples and samples and before_samples != samples:
        found.append(f"the samples of {split} are others, or in another order")
    return found


def differences(before: Mapping[str, float], now: Mapping[str, float]) -> dict[str, float]:
    """Name -> difference, of all scores; infinite where only one side has the score."""
    return {
        name: now[name] - before[name] if name in now and name in before else math.inf
        for name in dict.fromkeys([*before, *now])
    }


def _key(override: str) -> str:
    return override.lstrip("+~").partition("=")[0]
