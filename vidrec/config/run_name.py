"""Names of run directories, which follow from the choices."""

import hashlib
import re

# Choices that say where and how loudly to run, not what comes out, do not name the run directory.
_NOT_IN_NAME = re.compile(
    r"(runtime\.(resume|dashboard|wandb|log_every|progress|num_workers|persistent_workers|prefetch|keep"
    r"|save_every|dist_timeout|threads|check_files)|hydra|runtime=slurm$)\b"
)


def run_name(choices: dict[str, str | None], overrides: list[str]) -> str:
    """A name that follows from the choices alone, so that ranks agree and the same command resumes.

    >>> choices = {"model": "tsn", "data": "ucf101"}
    >>> run_name(choices, ["model=tsn", "data=ucf101", "schedule.epochs=3"])
    'tsn_ucf101,schedule.epochs=3'
    """
    name = choices.get("experiment") or f"{choices['model']}_{choices['data']}"
    groups = {"experiment"} | (set() if choices.get("experiment") else {"model", "data"})
    return short_name(name, [o for o in overrides if o.lstrip("+").split("=")[0] not in groups])


def short_name(first: str, overrides: list[str]) -> str:
    """A folder's name of `first` and of the overrides that decide what comes out.

    >>> short_name("sweep", ["schedule.epochs=2", "model=tsn,tsm", "runtime.num_workers=2"])
    'sweep,model=tsn,tsm,schedule.epochs=2'
    """
    plain = sorted(override.lstrip("+") for override in overrides)
    kept = [override for override in plain if not _NOT_IN_NAME.match(override)]
    # Paths and long lists would make unreadable names: they are hashed.
    shown = [override for override in kept if "/" not in override and len(override) < 40]
    text = re.sub(r"[^\w.=,+~-]+", "_", ",".join([first, *shown]))
    if len(shown) < len(kept) or len(text) > 120:
        text = f"{text[:110]}-{hashlib.sha256(','.join(kept).encode()).hexdigest()[:8]}"
    return text
