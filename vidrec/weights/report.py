"""What loading weights did to a network."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Report:
    """Which tensors of a file were loaded, and into which of the network."""

    source: str
    in_file: dict[str, tuple[int, ...]] = field(default_factory=dict)  # shapes of its tensors
    taken: str = ""  # the keys or the prefix of these weights, if the file has others that fit
    others: list[str] = field(default_factory=list)  # those of the others
    conversion: str = ""  # how names were converted; empty if they are those of the network
    loaded: list[str] = field(default_factory=list)  # names in the network, reshaped ones included
    reshaped: list[str] = field(default_factory=list)  # with both shapes
    computed: list[str] = field(default_factory=list)  # of several tensors, reordered, or zeros
    missing: list[str] = field(default_factory=list)  # names in the network, left unchanged
    differing: list[str] = field(default_factory=list)  # not loaded: same name, different shape
    kept: list[str] = field(default_factory=list)  # such constants, which the network computes
    unused: list[str] = field(default_factory=list)  # names in the file that the network lacks
    non_finite: list[str] = field(default_factory=list)  # loaded, with infinite values or NaN
    backbone: float = 0.0  # fraction of the backbone's tensors that were loaded

    def __str__(self) -> str:
        total = len(self.loaded) + len(self.missing)
        how = f" ({self.conversion})" if self.conversion else ""
        lines = [
            f"{self.source}{how}: {len(self.loaded)} of {total} tensors loaded, "
            f"{100 * self.backbone:.1f} % of the backbone"
        ]
        if self.others:
            rest = f"others in the file: {some(self.others)}"
            lines.append(f"  taken {self.taken or 'those at the top'}; {rest}")
        kinds = ("reshaped", "computed", "missing", "differing", "kept", "unused", "non_finite")
        for kind in kinds:
            if names := getattr(self, kind):
                lines.append(f"  {kind.replace('_', '-')} {len(names)}: {some(names)}")
        return "\n".join(lines)


def some(names: Sequence[str], most: int = 8) -> str:
    """The first names, and how many more there are.

    >>> some(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
