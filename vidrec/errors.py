"""What a person reads of an error."""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class ConfigError(ValueError):
    """The configuration cannot run; the message lists every problem found."""


EXPECTED = (ValueError, OSError, RuntimeError, FloatingPointError)
"""Errors that say what is wrong with the input or the machine; others are faults of the code."""


def sentence(error: BaseException) -> str:
    """The last line of an error: that of a loader's worker begins with its whole traceback.

    >>> sentence(ValueError("schedule.epochs=0"))
    'schedule.epochs=0'
    >>> sentence(RuntimeError("Caught VideoError in worker 0.\\nTraceback\\na.Error: x.mp4: empty"))
    'x.mp4: empty'
    """
    text = str(error).rstrip()
    if text.startswith("DataLoader worker"):
        first_line = text.splitlines()[0].rstrip(".")
        return (
            f"{first_line}: mostly because memory ran out; the same command continues, "
            "fewer runtime.num_workers need less"
        )
    if not text.startswith("Caught "):
        return text
    kind, separator, rest = text.rsplit("\n", 1)[-1].partition(": ")
    return rest if separator and " " not in kind else text


@contextmanager
def told_in_a_sentence() -> Iterator[None]:
    """End the program with a sentence for a wrong configuration and for expected errors."""
    try:
        yield
    except ConfigError as error:
        raise SystemExit(f"configuration error: {error}") from None
    except EXPECTED as error:
        raise SystemExit(f"error: {sentence(error)}") from None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'NAME'?`, or, if nothing is near, what there is."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean '{near[0]}'?" if near else f"; there are: {', '.join(names)}"
