"""Which files could not be read: of every rank, and of every process of a run."""

import json

import numpy as np

from tests.report.runs import make_run
from vidrec.engine.distributed import Distributed
from vidrec.report.run_files import card_of_run
from vidrec.report.unreadable import LISTED, listed, unreadable_in_log, unreadable_of_all


class TwoRanks(Distributed):
    """Gathers what a second rank would bring."""

    def gather(self, rows):
        other = json.dumps(["b: c.mp4", "cut off"]) + "\n"
        return {"text": np.concatenate([rows["text"], np.frombuffer(other.encode(), np.uint8)])}


def test_the_files_of_all_ranks_are_listed():
    own = {"ä.mp4": "no\nvideo", "a.mp4": "empty"}
    assert unreadable_of_all(own, Distributed()) == own
    assert unreadable_of_all({}, Distributed()) == {}
    assert unreadable_of_all(own, TwoRanks()) == own | {"b: c.mp4": "cut off"}


def test_a_run_that_was_killed_has_them_from_its_log(tmp_path):
    folder = make_run(tmp_path / "mine")
    line = "2026-01-01 10:00:00 warning: unreadable video {}: {}\n"
    (folder / "train.log").write_text(
        line.format("a.mp4", "it is empty")
        + "2026-01-01 10:00:00 epoch 1/2  loss 1.0\n"
        + line.format("b.mp4", "no frame: 0 of 5")
        + line.format("a.mp4", "it is empty")
    )
    card = card_of_run(folder)
    assert card.unreadable == [["a.mp4", "it is empty"], ["b.mp4", "no frame: 0 of 5"]]
    assert card.num_unreadable == 2
    assert unreadable_in_log(tmp_path / "none.log") == ([], 0)


def test_of_many_the_first_are_listed_and_all_are_counted():
    pairs, count = listed({f"{i:04}.mp4": "empty" for i in range(500)})
    assert (len(pairs), count, pairs[-1]) == (LISTED, 500, ["0099.mp4", "empty"])
