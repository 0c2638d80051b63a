"""Which samples a rank loads at each step, and the workers that load them."""

import atexit
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from torch.utils.data._utils import signal_handling

Key = tuple[int, int]  # (epoch, index): what a sample is a function of


class EpochBatches:
    """Batches of one rank for training: a shuffle of the whole dataset, dealt out to the ranks.

    Step i of an epoch takes the next `batch_size * world` samples of a permutation that is a
    function of (seed, epoch) alone; rank r takes its `batch_size` of them. So W ranks with batches
    of B see at every step what one rank with batches of W * B sees. The last step is filled up from
    the permutation's beginning.
    """

    def __init__(
        self,
        num_samples: int,
        batch_size: int,
        *,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        shuffle: bool = True,
    ) -> None:
        self.num_samples = num_samples
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.world = world
        self.shuffle = shuffle
        self.epoch = 0
        self.first_batch = 0

    def __len__(self) -> int:
        """Batches of a whole epoch, wherever it was started."""
        return -(-self.num_samples // (self.batch_size * self.world))

    def start(self, epoch: int, first_batch: int = 0) -> None:
        """Say where the next iteration begins."""
        self.epoch, self.first_batch = epoch, first_batch

    def __iter__(self) -> Iterator[list[Key]]:
        order = np.arange(self.num_samples)
        if self.shuffle:
            order = np.random.default_rng((self.seed, self.epoch)).permutation(self.num_samples)
        step_size = self.batch_size * self.world
        for batch in range(self.first_batch, len(self)):
            first = batch * step_size + self.rank * self.batch_size
            rows = np.arange(first, first + self.batch_size) % self.num_samples
            yield [(self.epoch, int(index)) for index in order[rows]]


class EvaluationBatches:
    """Batches of one rank for evaluation: rows rank, rank + world, ...; none repeated, none left
    out.
    """

    def __init__(self, num_samples: int, batch_size: int, *, rank: int = 0, world: int = 1) -> None:
        self.rows = range(rank, num_samples, world)
        self.batch_size = batch_size

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __iter__(self) -> Iterator[list[Key]]:
        for start in range(0, len(self.rows), self.batch_size):
            yield [(0, index) for index in self.rows[start : start + self.batch_size]]


def make_loader(
    dataset: Dataset,
    batches: EpochBatches | EvaluationBatches,
    *,
    num_workers: int,
    persistent_workers: bool,
    prefetch: int,
    pin_memory: bool,
    collate: Callable[[list[dict[str, Any]]], dict[str, Any]],
) -> DataLoader:
    """A DataLoader over the keys that `batches` gives; `loader.batch_sampler` is `batches`.

    prefetch: batches each worker prepares ahead.
    """
    # torch would report a lost worker by raising wherever the program is, in the middle of writing
    # a checkpoint too. Without its handler the loader itself finds out, within five seconds.
    signal_handling._SIGCHLD_handler_set = True
    return DataLoader(
        dataset,
        batch_sampler=batches,  # type: ignore[arg-type]
        num_workers=num_workers,
        persistent_workers=persistent_workers,
        prefetch_factor=prefetch if num_workers else None,
        pin_memory=pin_memory,
        collate_fn=collate,
        worker_init_fn=_start_worker if num_workers else None,
    )


@atexit.register
def _end_workers() -> None:
    """End the workers that an exception left behind.

    multiprocessing would do so with SIGTERM, to which they do not listen, and wait for ever. It
    registered its own clean-up before, so that this comes first.
    """
    for child in multiprocessing.active_children():
        child.kill()


def _start_worker(worker: int) -> None:
    # Workers are the parallelism; threads of theirs would take the cores from each other.
    torch.set_num_threads(1)
    # Ctrl-C and the scheduler's signals go to the whole group; the main process decides, and its
    # workers end when it does (see _end_workers).
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
