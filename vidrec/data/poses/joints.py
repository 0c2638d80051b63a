"""The layout of a skeleton: which joints it has and how they are connected."""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Pairs = Sequence[Sequence[int]]
_T = TypeVar("_T", bound=Hashable)


@dataclass(frozen=True)
class Joints:
    """A skeleton of J joints, numbered in the order of `names`.

    names: of the joints. edges: (child, parent) of the graph, the parent nearer to the centre.
    center: the joint that counts as the centre of the graph.
    left, right: joints that change places in a mirror image, in the same order.
    bones: (child, parent) whose difference is the bone of the child. They may differ from `edges`:
        the hips of COCO hang on the nose. A joint may be its own parent, or be left out: its bone
        is zero.
    limbs: pairs of joints that are drawn as the lines of limb heat maps.

    >>> arm = Joints(["neck", "left", "right"], edges=[[1, 0], [2, 0]], left=[1], right=[2])
    >>> arm.mirrored.tolist()
    [0, 2, 1]
    """

    names: Sequence[str]
    edges: Pairs
    center: int = 0
    left: Sequence[int] = ()
    right: Sequence[int] = ()
    bones: Pairs = ()
    limbs: Pairs = ()

    def __post_init__(self) -> None:
        names = tuple(str(name) for name in self.names)
        if not names:
            raise ValueError("names is empty; a skeleton has at least one joint")
        if repeated := _repeated(names):
            raise ValueError(f"names has '{repeated[0]}' twice; each joint needs its own name")
        object.__setattr__(self, "names", names)
        self._check_index("center", self.center)
        for field in ("left", "right"):
            numbers = tuple(getattr(self, field))
            for number in numbers:
                self._check_index(field, number)
            object.__setattr__(self, field, numbers)
        for field in ("edges", "bones", "limbs"):
            object.__setattr__(self, field, self._pairs(field))
        self._check_sides()
        if children := _repeated(child for child, _ in self.bones):
            raise ValueError(
                f"bones has the child {self._shown(children[0])} twice; a joint has one bone"
            )
        for field in ("edges", "limbs"):
            for start, end in getattr(self, field):
                if start == end:
                    raise ValueError(f"{field} connects {self._shown(start)} with itself")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def mirrored(self) -> np.ndarray:
        """(J,) int64: the joint whose place each one takes in a mirror image."""
        order = np.arange(len(self))
        order[list(self.left)], order[list(self.right)] = self.right, self.left
        return order

    def _pairs(self, field: str) -> Pairs:
        pairs = tuple(tuple(pair) for pair in getattr(self, field))
        for pair in pairs:
            if len(pair) != 2:
                raise ValueError(f"{field} has {list(pair)}, which is not a pair of joints")
            for number in pair:
                self._check_index(field, number)
        return pairs

    def _check_index(self, field: str, number: int) -> None:
        if isinstance(number, bool) or not isinstance(number, int):
            raise ValueError(f"{field} has {number!r}, which is not the number of a joint")
        if not 0 <= number < len(self.names):
            raise ValueError(
                f"{field} has joint {number}, which does not exist: there are "
                f"{len(self.names)} names, counted from 0"
            )

    def _check_sides(self) -> None:
        if len(self.left) != len(self.right):
            raise ValueError(
                f"left has {len(self.left)} joints and right {len(self.right)}; each joint on the "
                "left needs its counterpart on the right"
            )
        if both := _repeated([*self.left, *self.right]):
            raise ValueError(
                f"left and right have {self._shown(both[0])} twice; a joint has one counterpart"
            )

    def _shown(self, number: int) -> str:
        return f"joint {number} ({self.names[number]})"


def _repeated(values: Iterable[_T]) -> list[_T]:
    """Those that occur more than once."""
    return [value for value, count in Counter(values).items() if count > 1]
