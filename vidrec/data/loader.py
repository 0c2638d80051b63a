"""The samples that a rank loads at each step, and the workers that load them."""

import atexit
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch.utils.data import DataLoader
from torch.utils.data._utils import signal_handling

Key = tuple[int, int]  # (epoch, index): what a sample is a function of
Sample = TypeVar("Sample")
Sample_co = TypeVar("Sample_co", covariant=True)


class KeyedDataset(Protocol[Sample_co]):
    """A dataset whose samples are functions of (epoch, index)."""

    def __getitem__(self, key: Key) -> Sample_co: ...


class Dataset(KeyedDataset[Sample], Protocol):
    """A dataset whose samples it can make a batch of: `data.train`, `data.val` and `data.test`."""

    def __len__(self) -> int: ...

    def collate(self, samples: list[Sample]) -> object:
        """The batch of some samples: a dictionary with an `index`, their rows in the dataset."""


class EpochBatches:
    """Training batches of one rank: the whole dataset is shuffled, then divided among the ranks.

    Step i of an epoch takes the next `batch_size * world` samples of a permutation that is a
    function of (seed, epoch) alone; rank r takes its `batch_size` of them. So W ranks with batches
    of B see at every step what one rank with batches of W * B sees. The last step is filled up from
    the beginning of the permutation.
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
        """Batches of a whole epoch, wherever it is started."""
        return -(-self.num_samples // (self.batch_size * self.world))

    def start(self, epoch: int, first_batch: int = 0) -> None:
        """Set where the next iteration begins."""
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
    """Evaluation batches of one rank: rows rank, rank + world, ..., each exactly once."""

    def __init__(self, num_samples: int, batch_size: int, *, rank: int = 0, world: int = 1) -> None:
        self.rows = range(rank, num_samples, world)
        self.batch_size = batch_size

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __iter__(self) -> Iterator[list[Key]]:
        for start in range(0, len(self.rows), self.batch_size):
            yield [(0, index) for index in self.rows[start : start + self.batch_size]]


def make_loader(
    dataset: KeyedDataset[Sample],
    batches: EpochBatches | EvaluationBatches,
    *,
    num_workers: int,
    persistent_workers: bool,
    prefetch: int,
    pin_memory: bool,
    collate: Callable[[list[Sample]], object],
) -> DataLoader:
    """A DataLoader over the keys of `batches`, which become `loader.batch_sampler`.

    prefetch: batches each worker prepares ahead.
    """
    # torch would report a lost worker by raising wherever the program is, even while it writes a
    # checkpoint. Without its handler the loader itself finds out, within five seconds.
    signal_handling._SIGCHLD_handler_set = True
    return DataLoader(
        dataset,  # type: ignore[arg-type] # torch wants its own class
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

    multiprocessing would send SIGTERM, which they ignore, and wait for ever. It registered its own
    clean-up earlier, so this one runs first.
    """
    for child in multiprocessing.active_children():
        child.kill()


def _start_worker(worker: int) -> None:
    # The workers are the parallelism; threads inside them would compete for the cores.
    torch.set_num_threads(1)
    # Ctrl-C and the scheduler's signals reach the whole process group; the main process decides,
    # and its workers end when it does (see _end_workers).
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
