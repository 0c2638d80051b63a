import json
import logging
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from torch import nn

from tests.paths import ROOT
from tests.waiting import LIMIT
from vidrec.config.schema import Precision, RuntimeConf
from vidrec.data.unreadable import BadVideos
from vidrec.engine.evaluate import evaluate
from vidrec.metrics.accuracy import Accuracy

NUM_SAMPLES, NUM_CLASSES = 11, 4
RUNTIME = RuntimeConf()


class Net(nn.Module):
    """Scores that are known: a fixed row for each index. Dropout would show in training mode."""

    def __init__(self):
        super().__init__()
        rng = np.random.default_rng(0)
        self.table = nn.Parameter(torch.tensor(rng.normal(size=(NUM_SAMPLES, NUM_CLASSES))).float())
        self.dropout = nn.Dropout(0.5)
        self.dtypes = set()

    def predict(self, batch):
        scores = self.dropout(self.table[batch["index"]]) @ torch.eye(NUM_CLASSES)
        self.dtypes.add(scores.dtype)
        assert not scores.requires_grad
        return {"scores": scores}


class Loader:
    """One rank's batches, and the dataset that all ranks share."""

    def __init__(self, indices, batch_size=2, bad=()):
        self.dataset = range(NUM_SAMPLES)
        good = [i for i in indices if i not in bad]
        self.batches = [good[i : i + batch_size] for i in range(0, len(good), batch_size)]
        self.bad = [f"v{i}.mp4" for i in indices if i in bad]

    def __len__(self):
        return len(self.batches) + len(self.bad)

    def __iter__(self):
        for path in self.bad:
            yield {"bad_videos": [(path, "no frames")]}
        for rows in self.batches:
            index = torch.tensor(rows)
            yield {"video": torch.zeros(len(rows)), "index": index, "label": index % NUM_CLASSES}


class Ranks:
    """Ranks as threads of one process."""

    device = torch.device("cpu")

    def __init__(self, world):
        self.world = world
        self.barrier = threading.Barrier(world, timeout=LIMIT)
        self.parts = {}

    def gather(self, rows):
        self.parts[threading.current_thread().name] = rows
        self.barrier.wait()
        parts = [self.parts[name] for name in sorted(self.parts)]
        self.barrier.wait()
        filled = [part for part in parts if len(next(iter(part.values())))]
        return {name: np.concatenate([part[name] for part in filled]) for name in rows}


def run(loaders, **options):
    """What each rank gets."""
    ranks, results = Ranks(len(loaders)), {}

    def one(rank):
        results[rank] = evaluate(Net(), Accuracy(), loaders[rank], RUNTIME, ranks, **options)

    threads = [
        threading.Thread(target=one, args=(rank,), name=str(rank)) for rank in range(len(loaders))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [results[rank] for rank in range(len(loaders))]


def expected_top1():
    return float((Net().table.argmax(1) == torch.arange(NUM_SAMPLES) % NUM_CLASSES).float().mean())


def test_scores_are_those_of_the_table_and_rows_come_sorted():
    ((scores, rows),) = run([Loader([3, 1, 2, 0, 10, 9, 8, 7, 6, 5, 4])])
    assert scores["top1"] == pytest.approx(expected_top1())
    assert "num_scored" not in scores
    assert rows["index"].tolist() == list(range(NUM_SAMPLES))
    assert np.array_equal(rows["scores"], Net().table.detach().numpy())


def test_uneven_shards_give_every_rank_the_numbers_of_one_rank():
    (whole,) = run([Loader(range(NUM_SAMPLES))])
    shards = [Loader(range(rank, NUM_SAMPLES, 3), batch_size=rank + 1) for rank in range(3)]
    empty = Loader([])
    for scores, rows in run([*shards, empty]):
        assert scores == whole[0]
        assert all(np.array_equal(rows[name], whole[1][name]) for name in rows)


CODE = """
import json
from pathlib import Path

from tests.engine.test_evaluate import RUNTIME, Accuracy, Loader, Net, evaluate
from vidrec.engine import distributed

dist = distributed.start("cpu", 10.0)
loader = Loader(range(dist.rank, 2, dist.world) if {few} else range(dist.rank, 11, dist.world))
loader.dataset = range(2 if {few} else 11)
scores, rows = evaluate(Net(), Accuracy(topk=[1]), loader, RUNTIME, dist)
result = [scores, rows["index"].tolist(), rows["scores"].tolist()]
Path(__file__).with_name(f"{{dist.rank}}.json").write_text(json.dumps(result))
dist.stop()
"""


@pytest.mark.slow
@pytest.mark.parametrize("few", [False, True])  # fewer samples than ranks
def test_real_processes_agree(tmp_path, few):
    script = tmp_path / "script.py"
    script.write_text(CODE.format(few=few))
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=3", str(script)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, *launch], timeout=LIMIT, check=True, env=environment)
    results = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(3)]
    assert results[0] == results[1] == results[2]
    scores, index, table = results[0]
    assert index == list(range(2 if few else NUM_SAMPLES))
    assert np.array_equal(np.float32(table), Net().table.detach().numpy()[index])
    if not few:
        assert scores["top1"] == pytest.approx(expected_top1())


def test_every_evaluation_starts_afresh():
    metric = Accuracy()
    first = evaluate(Net(), metric, Loader(range(NUM_SAMPLES)), RUNTIME, Ranks(1))[0]
    assert evaluate(Net(), metric, Loader(range(NUM_SAMPLES)), RUNTIME, Ranks(1))[0] == first


def test_unreadable_videos_are_counted_logged_and_left_out(caplog):
    bad = BadVideos(NUM_SAMPLES, max_fraction=0.5)
    with caplog.at_level(logging.WARNING, logger="vidrec"):
        ((scores, rows),) = run([Loader(range(NUM_SAMPLES), bad={2, 7})], bad_videos=bad)
    assert scores["num_scored"] == 9
    assert not {2, 7} & set(rows["index"].tolist())
    assert len(bad) == 2
    assert [record.getMessage() for record in caplog.records] == [
        "unreadable video v2.mp4: no frames",
        "unreadable video v7.mp4: no frames",
    ]


def test_too_many_unreadable_videos_are_fatal():
    loader, bad = Loader(range(NUM_SAMPLES), bad={2, 7}), BadVideos(NUM_SAMPLES, max_fraction=0.1)
    with pytest.raises(RuntimeError, match=r"2 unreadable videos are more than the 1"):
        evaluate(Net(), Accuracy(), loader, RUNTIME, Ranks(1), bad_videos=bad)


def test_samples_that_vanish_are_noticed():
    with pytest.raises(RuntimeError, match="10 of 11 samples were scored and 0 were unreadable"):
        evaluate(Net(), Accuracy(), Loader(range(10)), RUNTIME, Ranks(1))


def test_a_sample_scored_twice_is_noticed():
    with pytest.raises(
        ValueError, match="1 samples were scored more than once, the first is row 4"
    ):
        evaluate(Net(), Accuracy(), Loader([*range(NUM_SAMPLES), 4]), RUNTIME, Ranks(1))


@pytest.mark.parametrize(
    ("precision", "dtype"), [(Precision.fp32, torch.float32), (Precision.bf16, torch.bfloat16)]
)
def test_the_net_runs_in_the_precision_of_the_run(precision, dtype):
    net, runtime = Net(), RuntimeConf(precision=precision)
    evaluate(net, Accuracy(), Loader(range(NUM_SAMPLES)), runtime, Ranks(1))
    assert net.dtypes == {dtype}


def test_progress_counts_batches():
    seen = []
    run([Loader(range(NUM_SAMPLES))], progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 6) for i in range(1, 7)]
