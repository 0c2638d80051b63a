"""What a person reads of an error."""

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
