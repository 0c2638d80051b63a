"""Names of run directories, which follow from the choices.

They have letters, digits and `._+-` alone, which neither a shell nor Hydra reads as anything else:
`tsn_ucf101+model.clip.size-112+schedule.epochs-3`.
"""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

# Choices that say where and how loudly to run, not what comes out, do not name the run directory.
_NOT_IN_NAME = re.compile(
    r"(runtime\.(resume|dashboard|wandb|log_every|progress|num_workers|persistent_workers|prefetch|keep"
    r"|save_every|dist_timeout|threads|check_files)|hydra|runtime=slurm$)\b"
)
# A choice that its part of the name tells without loss: no `+`, which separates parts, no `-` in
# the key, which ends there, and none where `--` stands for a comma.
_ELEMENT = r"-?[A-Za-z0-9_.]+(-[A-Za-z0-9_.]+)*"
_PLAIN = re.compile(rf"[A-Za-z0-9_.]+={_ELEMENT}(,{_ELEMENT})*")
_LONGEST = 120  # characters; file systems allow 255 bytes


def run_name(
    choices: dict[str, str | None], overrides: list[str], folders: Sequence[Path] = ()
) -> str:
    """A name that follows from the choices alone, so that ranks agree and the same command resumes.

    folders: of configurations, whose files tell where `model_data` ends being unique.

    >>> choices = {"model": "tsn", "data": "ucf101"}
    >>> run_name(choices, ["model=tsn", "data=ucf101", "schedule.epochs=3"])
    'tsn_ucf101+schedule.epochs-3'
    """
    first, rest = _first(choices, overrides)
    chosen = ("experiment",) if choices.get("experiment") else ("model", "data")
    which = [f"{group}={choices[group]}" for group in chosen]
    return _name(first, rest, which if _num_meanings(first, folders) > 1 else [])


def short_name(first: str, overrides: list[str]) -> str:
    """A folder's name of `first` and of the overrides that decide what comes out.

    >>> short_name("sweep", ["schedule.epochs=2", "model=tsn,tsm", "runtime.num_workers=2"])
    'sweep+model-tsn--tsm+schedule.epochs-2'
    """
    return _name(first, overrides, [])


def _first(choices: dict[str, str | None], overrides: list[str]) -> tuple[str, list[str]]:
    """The recipe, and the overrides beside it."""
    name = choices.get("experiment") or f"{choices['model']}_{choices['data']}"
    groups = {"experiment"} | (set() if choices.get("experiment") else {"model", "data"})
    return name, [o for o in overrides if o.lstrip("+").split("=")[0] not in groups]


def _name(first: str, overrides: list[str], hashed: list[str]) -> str:
    """hashed: what the hash must tell besides."""
    kept = _kept(overrides)
    # Paths, mappings and long lists would make unreadable names: they are in the hash alone.
    shown = [override for override in kept if _is_short(override)]
    parts = [o.replace("=", "-", 1).replace(",", "--").replace("/", ".") for o in shown]
    text = re.sub(r"[^A-Za-z0-9._+-]+", "_", re.sub("['\"]", "", "+".join([first, *parts])))
    is_told = re.fullmatch(r"[A-Za-z0-9._-]+", first) and all(map(_PLAIN.fullmatch, kept))
    if hashed or not is_told or len(shown) < len(kept) or len(text) > _LONGEST:
        digest = hashlib.sha256("\n".join([first, *hashed, *kept]).encode()).hexdigest()
        text = f"{text[: _LONGEST - 9]}+{digest[:8]}"  # no part of an override: it has no `-`
    return text


def _kept(overrides: list[str]) -> list[str]:
    plain = sorted(override.lstrip("+") for override in overrides)
    return [override for override in plain if not _NOT_IN_NAME.match(override)]


def _is_short(override: str) -> bool:
    return not {"/", "{"} & {*override.partition("=")[2]} and len(override) < 40


def _num_meanings(name: str, folders: Sequence[Path]) -> int:
    """How many choices have this name: `a_b_c` may be of model a and data b_c, or a_b and c."""

    def exists(group: str, choice: str) -> bool:
        return any((folder / group / f"{choice}.yaml").is_file() for folder in folders)

    splits = [(name[: m.start()], name[m.end() :]) for m in re.finditer("_", name)]
    pairs = [exists("model", left) and exists("data", right) for left, right in splits]
    return sum(pairs) + exists("experiment", name)


def former_run_name(choices: dict[str, str | None], overrides: list[str]) -> str:
    """The name of the same run until vidrec 0.1, which had commas and equal signs."""
    return former_short_name(*_first(choices, overrides))


def former_short_name(first: str, overrides: list[str]) -> str:
    """`short_name` until vidrec 0.1."""
    kept = _kept(overrides)
    shown = [override for override in kept if "/" not in override and len(override) < 40]
    text = re.sub(r"[^\w.=,+~-]+", "_", ",".join([first, *shown]))
    if len(shown) < len(kept) or len(text) > 120:
        text = f"{text[:110]}-{hashlib.sha256(','.join(kept).encode()).hexdigest()[:8]}"
    return text
