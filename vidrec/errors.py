"""How errors read: one sentence with the value, the place and the way out."""

import difflib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager


class ConfigError(ValueError):
    """The configuration cannot run; the message lists every problem found."""


EXPECTED = (ValueError, OSError, RuntimeError, FloatingPointError)
"""Errors that say what is wrong with the input or the machine; others are faults of the code."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The known names nearest to a wrong one, or what there is where none is near.

    >>> did_you_mean("epocs", ["epochs", "lr"])
    "did you mean 'epochs'?"
    >>> did_you_mean("tsn_r50", ["tsn_r18", "tsn_r101", "bmn"])
    "did you mean 'tsn_r101' or 'tsn_r18'?"
    >>> did_you_mean("x", ["epochs", "lr"])
    'there are: epochs, lr'
    """
    known = [str(other) for other in known]
    near = difflib.get_close_matches(name, known, n=3)
    if near:
        ratios = [difflib.SequenceMatcher(None, other, name).ratio() for other in near]
        # Names that are much farther away than the nearest one would only distract.
        shown = [f"'{n}'" for n, ratio in zip(near, ratios, strict=True) if ratio > ratios[0] - 0.1]
        return f"did you mean {' or '.join(shown)}?"
    return what_there_is(known)


def what_there_is(known: Sequence[str]) -> str:
    """`there are: a, b`, at most thirty of them."""
    if not known:
        return "there are none"
    more = f", ... ({len(known)} in all)" if len(known) > 30 else ""
    return f"there are: {', '.join(known[:30])}{more}"


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
            f"{first_line}: usually out of memory; lower runtime.num_workers, "
            "the same command resumes the run"
        )
    if not text.startswith("Caught "):
        return text
    kind, separator, rest = text.rsplit("\n", 1)[-1].partition(": ")
    return rest if separator and " " not in kind else text


def wants_tracebacks() -> bool:
    """Whether HYDRA_FULL_ERROR=1 asks for more than a sentence."""
    return os.environ.get("HYDRA_FULL_ERROR") == "1"


@contextmanager
def told_in_a_sentence() -> Iterator[None]:
    """End the program with a sentence for a wrong configuration and for expected errors."""
    try:
        yield
    except EXPECTED as error:
        if wants_tracebacks():
            raise
        kind = "configuration error" if isinstance(error, ConfigError) else "error"
        raise SystemExit(f"{kind}: {sentence(error)}") from None
