"""The order in which numpy's default sort leaves equal values, on any machine.

Published evaluations rank by `scores.argsort()[::-1]`. Its order of equal scores is that of an
introsort, unless numpy is 1.25 or later and the processor has vector instructions that sort
otherwise. Here the introsort is written out, so that the published order can be had everywhere.
"""

from collections.abc import Sequence

import numpy as np

SMALL = 15
"""Parts whose first and last place are no further apart are sorted by insertion."""


def introsort_order(values: np.ndarray) -> np.ndarray:
    """What `numpy.argsort(values)` returned before vector instructions; values: (P,), no NaN.

    >>> introsort_order(np.array([0.5, 0.1, 0.5, 0.1])).tolist()
    [1, 3, 0, 2]
    """
    value = values.tolist()
    order = list(range(len(value)))
    # First and last place of a part, and how often it may still be divided.
    waiting = [(0, len(order) - 1, 2 * (len(order).bit_length() - 1))]
    while waiting:
        low, high, depth = waiting.pop()
        if depth < 0:
            order[low : high + 1] = heapsort(value, order[low : high + 1])
            continue
        while high - low > SMALL:
            middle = _divide(value, order, low, high)
            depth -= 1
            # The larger part waits.
            if middle - low < high - middle:
                waiting.append((middle + 1, high, depth))
                high = middle - 1
            else:
                waiting.append((low, middle - 1, depth))
                low = middle + 1
        # `sorted` is stable, as insertion is.
        order[low : high + 1] = sorted(order[low : high + 1], key=value.__getitem__)
    return np.array(order, np.int64)


def _divide(value: Sequence[float], order: list[int], low: int, high: int) -> int:
    """Move smaller values before the median of three and larger ones behind it; its new place."""
    middle = (low + high) // 2
    for a, b in ((low, middle), (middle, high), (low, middle)):
        if value[order[b]] < value[order[a]]:
            order[a], order[b] = order[b], order[a]
    pivot = value[order[middle]]
    order[middle], order[high - 1] = order[high - 1], order[middle]
    left, right = low, high - 1
    while True:
        left += 1
        while value[order[left]] < pivot:
            left += 1
        right -= 1
        while pivot < value[order[right]]:
            right -= 1
        if left >= right:
            break
        order[left], order[right] = order[right], order[left]
    order[left], order[high - 1] = order[high - 1], order[left]
    return left


def heapsort(value: Sequence[float], part: list[int]) -> list[int]:
    """Sort a part that quicksort has divided too often."""
    heap = list(part)
    for root in reversed(range(len(heap) // 2)):
        _sink(value, heap, root, len(heap))
    for size in reversed(range(1, len(heap))):
        heap[0], heap[size] = heap[size], heap[0]
        _sink(value, heap, 0, size)
    return heap


def _sink(value: Sequence[float], heap: list[int], place: int, size: int) -> None:
    """Move the item at `place` down among the first `size` until no child is larger."""
    item = heap[place]
    while (child := 2 * place + 1) < size:
        if child + 1 < size and value[heap[child]] < value[heap[child + 1]]:
            child += 1
        if not value[item] < value[heap[child]]:
            break
        heap[place] = heap[child]
        place = child
    heap[place] = item
