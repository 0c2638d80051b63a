"""Figures of predictions show what was predicted, where it was."""

import math

import numpy as np
import pytest

from tests.plots.pixels import kept_figures, pixels, texts
from vidrec.inference import timeline
from vidrec.inference.prediction import KeyFrame, Moment, Person, Prediction, ScoredClass, Segment
from vidrec.inference.timeline import draw_timeline


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """`drawn(task, **found)`: the figure of a prediction, which is also written."""
    figures = kept_figures(monkeypatch, timeline)

    def draw(task, **found):
        prediction = Prediction("folder/clip.mp4", "runs/a/best.pt", task, "10 clips", **found)
        draw_timeline(prediction, tmp_path / "out" / "timeline.png")
        pixels(tmp_path / "out" / "timeline.png")
        return figures[-1]

    return draw


def scored(**scores):
    return [ScoredClass(0, name, score) for name, score in scores.items()]


def spans(axes):
    """(start, end) of all bars, by row from the top."""
    rows = []
    for bars in axes.collections:
        corners = [path.vertices for path in bars.get_paths()]
        rows.append(
            [(float(c[:, 0].min().round(3)), float(c[:, 0].max().round(3))) for c in corners]
        )
    return rows


def test_curves_have_the_scores_of_each_part_and_gaps_where_there_is_none(drawn):
    moments = [
        Moment(0.0, 1.0, scored(run=0.9, jump=0.1)),
        Moment(1.0, 2.0, scored(run=0.8)),
        Moment(2.0, 3.5, scored(jump=0.7, run=0.2)),
    ]
    curves, ribbon = drawn("recognition", timeline=moments, duration=3.5).axes
    lines = {line.get_label(): line.get_xydata() for line in curves.lines}
    assert lines["run"][:, 0].tolist() == [0, 1, 1, 2, 2, 3.5]
    assert lines["run"][:, 1].tolist() == [0.9, 0.9, 0.8, 0.8, 0.2, 0.2]
    np.testing.assert_array_equal(lines["jump"][:, 1], [0.1, 0.1, math.nan, math.nan, 0.7, 0.7])
    assert spans(ribbon) == [[(0.0, 2.0)], [(2.0, 3.5)]]


def test_without_parts_there_is_a_bar_for_each_class(drawn):
    figure = drawn("recognition", topk=scored(run=0.75, jump=0.25))
    assert [bar.get_width() for bar in figure.axes[0].patches] == [0.75, 0.25]
    assert {"run", "jump", "0.750", "0.250", "best.pt, 10 clips"} <= {*texts(figure)}


def test_rows_of_actions_are_where_they_were_seen(drawn):
    persons = [
        [],
        [Person((0, 0, 1, 1), 1.0, scored(sit=0.4)), Person((0, 0, 1, 1), 1.0, scored(sit=0.6))],
        [Person((0, 0, 1, 1), 1.0, scored(stand=0.9, sit=0.3))],
    ]
    key_frames = [KeyFrame(float(t), found) for t, found in enumerate(persons)]
    figure = drawn("detection", key_frames=key_frames, duration=3.0)
    assert spans(figure.axes[0]) == [[(1.5, 2.5)], [(1.5, 2.5), (0.5, 1.5)]]
    assert {"stand", "0.90", "sit", "0.60"} <= {*texts(figure)}


def test_segments_of_a_class_share_a_row_and_those_without_have_their_own(drawn):
    named = [Segment(1, 2, 0.5, "jump"), Segment(4, 5, 0.9, "jump"), Segment(0, 9, 0.7, "run")]
    axes = drawn("localization", segments=named, duration=9.0).axes[0]
    assert spans(axes) == [[(1.0, 2.0), (4.0, 5.0)], [(0.0, 9.0)]]
    bare = [Segment(1, 2, 0.5), Segment(4, 5, 0.9)]
    assert spans(drawn("localization", segments=bare).axes[0]) == [[(4.0, 5.0)], [(1.0, 2.0)]]


def test_hours_are_written_as_minutes(drawn):
    figure = drawn("localization", segments=[Segment(60, 90, 0.5, "jump")], duration=4000.0)
    figure.canvas.draw()
    assert {"0:00", "10:00", "60:00", "minutes:seconds"} <= {*texts(figure)}


@pytest.mark.parametrize("task", ["recognition", "detection", "localization"])
def test_there_is_a_figure_where_nothing_was_found(task, drawn):
    names = {*texts(drawn(task, duration=3.0))}
    assert "clip.mp4\n" in names


@pytest.mark.parametrize("name", ["", "x" * 3000, "腕相撲 🥋", "<b>$x_1$ $", "\n\t\x00", "ذراع"])
def test_names_of_any_kind_are_drawn(name, drawn):
    best = [ScoredClass(0, name, 0.5)]
    drawn("recognition", topk=best)
    drawn("recognition", timeline=[Moment(0, 9, best)])
    drawn("detection", key_frames=[KeyFrame(1.0, [Person((0, 0, 1, 1), 1.0, best)])])
    drawn("localization", segments=[Segment(0, 1, 0.5, name or None)])
