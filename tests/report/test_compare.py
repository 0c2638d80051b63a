"""Several results side by side: which of their scores compare, which is best, what differs."""

import re

import pytest

from tests.report.runs import ROWS, make_run
from vidrec.commands import report
from vidrec.report.card import Card
from vidrec.report.compare import Result, comparison, differences, groups, names_of, reasons
from vidrec.report.files import PAGE


def result(letter, score=0.5, protocol="1 view", sha="a", **config):
    card = Card("training", letter, "finished", task="recognition", model="m", data="d")
    card.split, card.protocol, card.key = "val", protocol, "top1"
    card.datasets = {"val": {"samples": 2, "sha256": sha}} if sha else {}
    card.scores = {"top1": score}
    card.changes = {f"model.{key}": [0, value] for key, value in config.items()}
    return Result(letter, letter, card, ROWS, {"model": config or {"depth": 0}})


def marked(page):
    return re.findall(r'class="best"[^>]*>([\d.]+)<', page)


def test_the_best_of_comparable_scores_is_marked():
    page = comparison([result("A", 0.5), result("B", 0.75), result("C", 0.25)])
    assert marked(page) == ["0.7500"]
    assert "comparable" not in page


def test_the_lowest_is_best_where_that_is_better():
    results = [result("A", 0.5), result("B", 0.75)]
    for own in results:
        own.card.higher_is_better = False
    assert marked(comparison(results)) == ["0.5000"]


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"protocol": "10 views"}, "they were measured with different protocols"),
        ({"sha": "b"}, "they were measured on different samples"),
        ({"sha": ""}, "it is not known how C was measured"),
    ],
)
def test_scores_of_other_protocols_or_samples_are_not_compared(other, reason):
    results = [result("A", 0.5), result("B", 0.25), result("C", 1.0, **other)]
    assert groups(results) == [0, 0, 1]
    assert reasons(results) == [reason]
    page = comparison(results)
    assert marked(page) == ["0.5000"]  # C, which is higher, was measured otherwise
    assert f"Not all of these scores are comparable: {reason}." in page
    assert "<td>none</td>" in page


def test_only_choices_that_differ_are_listed():
    results = [result("A", depth=18, width=1), result("B", depth=50, width=1)]
    assert differences(results) == [("model.depth", "18", "50")]


def test_results_of_several_tasks_are_refused():
    other = result("B")
    other.card.task = "detection"
    with pytest.raises(ValueError, match="A is of recognition and B of detection"):
        comparison([result("A"), other])


def test_names_are_as_short_as_they_can_be(tmp_path):
    folders = [tmp_path / "a" / "run", tmp_path / "b" / "run"]
    assert names_of(folders) == ["a/run", "b/run"]
    assert names_of(folders[:1]) == ["run"]


def test_the_command_writes_the_page_of_one_run_and_compares_several(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sweep = tmp_path / "sweep"
    runs = [str(make_run(sweep / name)) for name in ("one", "two")]
    report.main(runs[:1])
    assert "was stopped before its end" in (sweep / "one" / PAGE).read_text()
    report.main(runs)
    report.main([str(sweep), "--out", "other.html"])
    assert (tmp_path / "comparison.html").read_text() == (tmp_path / "other.html").read_text()
    assert capsys.readouterr().out.split() == [
        str(sweep / "one" / PAGE), "comparison.html", "other.html",
    ]  # fmt: skip


def test_the_command_says_in_a_sentence_what_is_wrong(tmp_path):
    run = str(make_run(tmp_path / "one"))
    (tmp_path / "notes.html").write_text("mine")
    for arguments, sentence in (
        ([str(tmp_path / "no")], "error: there is no run directory"),
        ([run, run], "is given twice"),
        ([run, "--out", str(tmp_path / "notes.html")], "vidrec did not write it"),
    ):
        with pytest.raises(SystemExit, match=sentence):
            report.main(arguments)
    assert (tmp_path / "notes.html").read_text() == "mine"
