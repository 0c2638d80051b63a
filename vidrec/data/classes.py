"""Whether a network and data mean the same classes by the same numbers."""

from collections.abc import Sequence


def class_difference(trained: Sequence[str], names: Sequence[str]) -> str | None:
    """How the classes of training differ from those of the data; None if they do not.

    trained, names: in order of label. Numbers in place of names fit any classes.

    >>> class_difference(["run", "sit"], ["sit", "run"])
    "the same classes in another order: 0 was 'run', here it is 'sit'"
    >>> class_difference(["0", "1"], ["sit", "run"])
    """
    trained, names = list(trained), list(names)
    if trained == names or any(known == _numbers(len(known)) for known in (trained, names)):
        return None
    how = (
        "the same classes in another order"
        if sorted(trained) == sorted(names)
        else (f"{len(trained)} classes then, {len(names)} other ones here")
    )
    for label, (was, now) in enumerate(zip(trained, names, strict=False)):
        if was != now:
            return f"{how}: {label} was {was!r}, here it is {now!r}"
    return how


def _numbers(count: int) -> list[str]:
    return [str(number) for number in range(count)]
