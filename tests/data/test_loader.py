import os
import signal

import numpy as np
import pytest
import torch

from vidrec.data.loader import EpochBatches, EvaluationBatches, make_loader


class Keys(torch.utils.data.Dataset):
    """Gives back its key, the worker's threads, and can die."""

    def __init__(self, num=10, dies_at=None):
        self.num, self.dies_at = num, dies_at

    def __len__(self):
        return self.num

    def __getitem__(self, key):
        if key == self.dies_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"key": key, "threads": torch.get_num_threads()}


def collate(samples):
    return [sample["key"] for sample in samples], [sample["threads"] for sample in samples]


def loader(batches, num_workers=0, persistent=False, dataset=None):
    return make_loader(
        dataset or Keys(),
        batches,
        num_workers=num_workers,
        persistent_workers=persistent,
        prefetch=2,
        pin_memory=False,
        collate=collate,
    )


def rows(batches):
    return [index for batch in batches for _, index in batch]


def test_an_epoch_has_every_sample_once_in_an_order_of_its_own():
    orders = []
    for epoch in (0, 1):
        batches = EpochBatches(12, 4, seed=5)
        batches.start(epoch)
        assert {e for batch in batches for e, _ in batch} == {epoch}
        orders.append(rows(batches))
        assert sorted(orders[-1]) == list(range(12))
    assert orders[0] != orders[1]
    other = EpochBatches(12, 4, seed=6)
    assert rows(other) != orders[0]


@pytest.mark.parametrize(("num", "world"), [(12, 2), (13, 2), (13, 3), (5, 4)])
def test_ranks_share_what_one_rank_would_take_at_each_step(num, world):
    alone = list(EpochBatches(num, 2 * world, seed=1))
    ranks = [list(EpochBatches(num, 2, seed=1, rank=r, world=world)) for r in range(world)]
    assert {len(rank) for rank in ranks} == {len(alone)}
    for step, batch in enumerate(alone):
        assert [key for rank in ranks for key in rank[step]] == batch


def test_the_last_step_is_filled_from_the_beginning_of_the_order():
    got = rows(EpochBatches(10, 4))
    assert len(got) == 12
    assert got[10:] == got[:2]
    tiny = EpochBatches(3, 8)
    assert len(tiny) == 1
    assert np.bincount(rows(tiny)).tolist() in ([3, 3, 2], [3, 2, 3], [2, 3, 3])


def test_without_shuffling_rows_come_as_they_are():
    assert rows(EpochBatches(6, 2, shuffle=False)) == list(range(6))


@pytest.mark.parametrize("first", [0, 1, 3, 4])
@pytest.mark.parametrize(("num_workers", "persistent"), [(0, False), (1, True)])
def test_an_epoch_is_taken_up_where_it_was_left(first, num_workers, persistent):
    batches = EpochBatches(10, 3, seed=2)
    data = loader(batches, num_workers, persistent)
    batches.start(7)
    whole = [keys for keys, _ in data]
    batches.start(7, first)
    assert [keys for keys, _ in data] == whole[first:]
    assert len(data) == len(batches) == 4  # however little of it is left
    batches.start(8)
    assert [keys for keys, _ in data] != whole
    del data


def test_an_iteration_that_was_given_up_leaves_nothing_in_the_next():
    """Prefetched batches of the epoch before must not come out of workers that live on."""
    batches = EpochBatches(10, 2)
    data = loader(batches, num_workers=2, persistent=True)
    batches.start(0)
    for _ in data:
        break
    batches.start(1)
    assert {epoch for keys, _ in data for epoch, _ in keys} == {1}


@pytest.mark.parametrize("world", [1, 2, 3, 5])
def test_evaluation_takes_every_row_once(world):
    shards = [EvaluationBatches(7, 2, rank=rank, world=world) for rank in range(world)]
    assert sorted(index for shard in shards for index in rows(shard)) == list(range(7))
    assert [len(shard) for shard in shards] == [len(list(shard)) for shard in shards]
    assert rows(shards[0]) == list(range(0, 7, world))


def test_a_worker_has_one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        data = loader(EvaluationBatches(2, 2), num_workers=1)
        assert [threads for _, threads in data] == [[1, 1]]
    finally:
        torch.set_num_threads(before)


def test_a_worker_that_was_killed_is_an_error_that_says_so():
    data = loader(EvaluationBatches(10, 1), num_workers=1, dataset=Keys(dies_at=(0, 4)))
    with pytest.raises(RuntimeError, match=r"DataLoader worker .*(killed|exited)"):
        list(data)


def test_torch_installs_no_handler_that_raises_in_the_middle_of_the_program():
    """The switch in make_loader is private to torch: this tells when it no longer has an effect."""
    list(loader(EvaluationBatches(2, 2), num_workers=1))
    handler = signal.getsignal(signal.SIGCHLD)
    assert not getattr(handler, "__module__", "").startswith("torch")
