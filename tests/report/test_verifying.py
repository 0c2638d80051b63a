"""What `vidrec verify` repeats of a report.json, which anybody may have made."""

import math

import pytest

from tests.report.runs import make_run
from vidrec.commands.verify import compare, parse
from vidrec.report.card import Card
from vidrec.report.verifying import checkpoint_of, differences, evaluation_of


@pytest.fixture
def file(tmp_path):
    return make_run(tmp_path / "mine") / "evaluation-test" / "report.json"


def card(*overrides, checkpoint="gone/best.pt"):
    return Card("evaluation", "mine", "finished", overrides=list(overrides), checkpoint=checkpoint)


def test_a_checkpoint_that_was_moved_with_its_report_is_found(file):
    assert checkpoint_of(card(), file) == file.parents[1] / "best.pt"
    with pytest.raises(FileNotFoundError, match=r"gone/last\.pt is not there: put it beside"):
        checkpoint_of(card(checkpoint="gone/last.pt"), file)


def test_what_the_scores_depend_on_is_repeated_and_outputs_are_not(file):
    own = card(
        "model=tsn_tiny", "data.root=old", "split=val", "runtime.precision=bf16", "dump=p.npz",
        "pictures=p", "report=r", "run=x", "checkpoint=y",
    )  # fmt: skip
    overrides, folders = evaluation_of(own, file, ["data.root=new"])
    assert overrides[:4] == [
        "model=tsn_tiny",
        "split=val",
        "runtime.precision=bf16",
        "data.root=new",
    ]
    assert [o.partition("=")[0] for o in overrides[4:]] == ["checkpoint", "run"]
    assert folders == []


@pytest.mark.parametrize("override", ["hydra.run.dir=/home", "score=[x]", "model=../../evil"])
def test_a_card_that_asks_for_more_is_refused(file, override):
    with pytest.raises(ValueError, match="which is not repeated"):
        evaluation_of(card(override), file, [])


def test_scores_that_only_one_side_has_differ():
    assert differences({"a": 0.5, "b": 1.0}, {"a": 0.75, "c": 1.0}) == {
        "a": 0.25, "b": math.inf, "c": math.inf,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("now", "is_same"), [(0.5009, True), (0.5011, False), (0.4989, False), (0.5, True)]
)
def test_every_score_must_be_within_the_tolerance(now, is_same, capsys):
    assert compare({"a": 0.5, "b": 1.0}, {"a": now, "b": 1.0}, 0.001) is is_same
    assert ("1 of 2 scores differ by more than 0.001" in capsys.readouterr().out) is not is_same


def test_nothing_to_compare_is_no_success():
    assert not compare({}, {}, 0.001)


def test_overrides_come_after_two_dashes_whatever_is_before(file):
    for before in (["r", "--device", "cpu"], ["--device", "cpu", "r"]):
        options = parse([*before, "--", "data.root=x", "schedule.test_batch_size=2"])
        assert (str(options.report), options.device) == ("r", "cpu")
        assert options.overrides == ["data.root=x", "schedule.test_batch_size=2"]
    assert parse(["r"]).overrides == []
