"""What a network says about a video: the result with the ways to look at it."""

import sys

from vidrec.inference.result import (
    KeyFrame,
    Moment,
    Person,
    Result,
    ScoredClass,
    Segment,
    best_classes,
)

__all__ = [
    "KeyFrame",
    "Moment",
    "Person",
    "Prediction",
    "ScoredClass",
    "Segment",
    "best_classes",
]


class Prediction(Result):
    """A `Result` as it is returned; what draws it takes a `Result`, which it is."""

    def show(self, top: int = 5) -> None:
        """Display it: in a notebook frames and a table, elsewhere lines of text.

        top: classes that are named in text.
        """
        # A notebook has loaded IPython, which is no dependency.
        ipython = sys.modules.get("IPython")
        if ipython is not None and hasattr(ipython.get_ipython(), "kernel"):
            ipython.display.display(self)
            return
        from vidrec.inference.tables import report

        print(report(self, top))

    def _repr_html_(self) -> str:
        """What notebooks show of a value."""
        from vidrec.inference.notebook import html_of

        return html_of(self)
