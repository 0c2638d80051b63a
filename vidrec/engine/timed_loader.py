"""How long an evaluation waits for its data."""

import time
from collections.abc import Iterator
from typing import Any


class TimedLoader:
    """A loader that measures how long its batches are waited for.

    Every pass starts anew. waited, total: seconds of the last pass, of which the rest is computing.
    """

    def __init__(self, loader: Any) -> None:
        self.loader = loader
        self.dataset = loader.dataset
        self.waited = self.total = 0.0

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        self.waited = self.total = 0.0
        begun = mark = time.perf_counter()
        for batch in self.loader:
            now = time.perf_counter()
            self.waited += now - mark
            yield batch
            mark = time.perf_counter()
            self.total = mark - begun
