"""What a run directory may ask for, whoever made it.

`run=DIR` repeats choices that were stored with a checkpoint. They may come from somebody else, and
a configuration can name any function of any package. So they may only choose what is trained and
evaluated, and only networks, losses, metrics and readers of the packages below; what writes files
is left to the command line of whoever runs it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from vidrec.config.signatures import locate, target_nodes

# Networks of timm come through vidrec.models: some of its own functions unpickle files.
NETWORKS = ("vidrec.models", "torch.nn", "torchvision.models", "torchvision.ops")
PACKAGES = (
    *NETWORKS,
    "vidrec.losses",
    "vidrec.metrics",
    "vidrec.data",
    "vidrec.engine.lr",
    "torch.optim",
    "torchvision.transforms",
)
"""Packages whose public classes may be named; of vidrec's functions those that build a network and
those that read, `read_*`.
"""

_GROUPS = ("model", "data", "schedule", "experiment")
_PLAIN = re.compile(r"[\w.@/]+")  # of a key
_FILE = re.compile(r"[\w.-]*")  # of a group's choice: no path to a file elsewhere


def untrusted_override(override: str, groups: Sequence[str]) -> str | None:
    """Why a stored override is not repeated; None if it may be.

    groups: `data/sampling` and the like, whose values are names of files.

    >>> untrusted_override("model.net.backbone.depth=18", [])
    >>> untrusted_override("++hydra.run.dir=/home/me", [])
    'it sets hydra, but a run directory may only set model, data, schedule and experiment'
    >>> untrusted_override("data=../../evil", ["data"])
    "'../../evil' is not a name of a file in conf/data"
    """
    key, _, value = override.lstrip("+~").partition("=")
    group, _, package = key.partition("@")
    for path in filter(None, (group, package.removeprefix("_global_."))):
        owner = re.split(r"[./]", path)[0]
        if owner not in _GROUPS or not _PLAIN.fullmatch(key):
            allowed = f"{', '.join(_GROUPS[:-1])} and {_GROUPS[-1]}"
            return f"it sets {owner}, but a run directory may only set {allowed}"
    if group in groups and not _FILE.fullmatch(value):
        return f"'{value}' is not a name of a file in conf/{group}"
    return None


def untrusted_targets(tree: Mapping[str, object], packages: Sequence[str]) -> Iterator[str]:
    """The `_target_` nodes of a resolved configuration that are not of these packages.

    Nothing is imported unless all of them are. The preparation of example data is not looked at: a
    command with `run=` never runs it.
    """
    nodes = [(p, str(n["_target_"])) for p, n in target_nodes(tree) if p != "data.prepare"]
    elsewhere = [
        (path, target)
        for path, target in nodes
        if "._" in target or not _is_within(target, packages)  # nothing private
    ]
    for path, target in elsewhere:
        yield f"{path}._target_: {_refusal(target)}"
    if elsewhere:
        return
    for path, target in nodes:
        try:
            found = locate(target)
        except (ImportError, AttributeError):
            yield f"{path}._target_: {_refusal(target)}"
            continue
        # A module also has the names that it imported.
        home = str(getattr(found, "__module__", ""))
        name = target.rpartition(".")[2]
        writes = home.startswith("vidrec.") and not (name[0].isupper() or name.startswith("read_"))
        if not _is_within(home, packages) or writes:
            yield f"{path}._target_: {_refusal(target)}"


def _refusal(target: str) -> str:
    package = target.split(".")[0]
    known = package in ("vidrec", "torch", "torchvision")
    way_out = "" if known else f"; if you trust that package, pass trust=[{package}]"
    return (
        f"a run directory or checkpoint asks for {target}, which is not one of the networks, "
        f"losses, metrics and readers of known packages{way_out}"
    )


def _is_within(path: str, packages: Sequence[str]) -> bool:
    return any(f"{path}.".startswith(f"{package}.") for package in packages)
