"""Predictions as csv files and as lines on a terminal."""

import csv

import numpy as np
import pytest

from vidrec.inference.result import KeyFrame, Moment, Person, Result, ScoredClass, Segment
from vidrec.inference.tables import COLUMNS, line, report, stretches, table, write_csv

WAVE = ScoredClass(3, "挥手", 0.75)
RUN = ScoredClass(0, "run, fast", float(np.float32(0.1)))


def recognized(video="a.mp4", **found):
    return Result(video, "best.pt", "recognition", "1 clip", **{"topk": [WAVE, RUN], **found})


def rows_of(results, task, path):
    write_csv(results, task, path)
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as stream:
        head, *rows = csv.reader(stream)
    assert tuple(head) == COLUMNS[task]
    return rows


def test_rows_of_recognition_are_the_ranks_of_the_video_and_of_its_parts(tmp_path):
    parts = [Moment(0.0, 1.5, [RUN]), Moment(1.5, 3.0, [WAVE])]
    assert rows_of([recognized(timeline=parts)], "recognition", tmp_path / "p.csv") == [
        ["a.mp4", "1", "3", "挥手", "0.75", "", ""],
        ["a.mp4", "2", "0", "run, fast", "0.100000001", "", ""],
        ["a.mp4", "1", "0", "run, fast", "0.100000001", "0", "1.5"],
        ["a.mp4", "1", "3", "挥手", "0.75", "1.5", "3"],
    ]


def test_scores_in_a_csv_are_those_of_float32(tmp_path):
    scores = np.random.default_rng(0).random(100).astype(np.float32)
    best = [ScoredClass(0, "x", float(score)) for score in scores]
    rows = rows_of([recognized(topk=best)], "recognition", tmp_path / "p.csv")
    np.testing.assert_array_equal(np.array([row[4] for row in rows], np.float32), scores)


def test_rows_of_detection_are_persons_with_each_of_their_actions(tmp_path):
    persons = [Person((0.0, 0.25, 0.5, 1.0), 0.9, [WAVE, RUN]), Person((0.5, 0, 1, 1), 1.0, [])]
    frames = [KeyFrame(1.0, persons), KeyFrame(2.0, [])]
    found = Result("a.mp4", "best.pt", "detection", "", key_frames=frames)
    assert rows_of([found], "detection", tmp_path / "p.csv") == [
        ["a.mp4", "1", "0", "0.25", "0.5", "1", "0.9", "3", "挥手", "0.75"],
        ["a.mp4", "1", "0", "0.25", "0.5", "1", "0.9", "0", "run, fast", "0.100000001"],
        ["a.mp4", "1", "0.5", "0", "1", "1", "1", "", "", ""],
    ]
    assert line(found, 6) == "a.mp4   2 persons in 2 key frames: 挥手 1, run, fast 1"
    assert report(found, 1).splitlines()[1:] == [
        "  1.0 s  person 0.90 at 0.00 0.25 0.50 1.00  0.750 挥手",
        "  1.0 s  person 1.00 at 0.50 0.00 1.00 1.00",
        "  2.0 s  no person",
    ]


def test_rows_of_localization_are_segments(tmp_path):
    segments = [Segment(0.5, 2.0, 0.75, "jump"), Segment(3.0, 4.0, 0.5)]
    found = Result("a.mp4", "best.pt", "localization", "", segments=segments)
    assert rows_of([found], "localization", tmp_path / "p.csv") == [
        ["a.mp4", "0.5", "2", "0.75", "jump"],
        ["a.mp4", "3", "4", "0.5", ""],
    ]
    assert line(found, 5) == "a.mp4  0.750 0.5-2.0 s jump and 1 more"


def test_a_csv_holds_names_of_any_bytes(tmp_path):
    video = "x\udcff\n.mp4"  # as Python gives a name with the byte 255
    ((name, *_), _) = rows_of([recognized(video)], "recognition", tmp_path / "p.csv")
    assert name == video


@pytest.mark.parametrize("video", ["x\udcff\n.mp4", "\x1b[31mred.mp4"])
def test_a_terminal_is_sent_nothing_that_it_cannot_show(video):
    for text in (line(recognized(video), 8), report(recognized(video), 1).splitlines()[0]):
        text.encode()
        assert text.isprintable()


def test_one_video_shows_its_classes_and_several_a_line_each():
    found = recognized(duration=2.04)
    assert report(found, 5).splitlines() == [
        "a.mp4, 2.0 s: 1 clip",
        "  0.750  挥手",
        "  0.100  run, fast",
    ]
    assert line(found, 7) == "a.mp4    0.750 挥手"
    assert line(found, 7, top=2) == "a.mp4    0.750 挥手, 0.100 run, fast"


def test_neighbouring_parts_of_one_class_are_joined_in_a_line():
    names = [RUN, RUN, WAVE, RUN]
    parts = [Moment(float(i), i + 1.0, [best]) for i, best in enumerate(names)]
    found = recognized(topk=[], timeline=parts)
    assert line(found, 5) == "a.mp4  0.0-2.0 s run, fast, 2.0-3.0 s 挥手, 3.0-4.0 s run, fast"
    assert report(found).splitlines()[1:] == [
        "  0.0-2.0 s  0.100 run, fast",
        "  2.0-3.0 s  0.750 挥手",
        "  3.0-4.0 s  0.100 run, fast",
    ]
    assert len(report(found, 1).splitlines()) == 1 + len(parts)


def test_the_score_of_joined_parts_is_their_mean_over_time():
    parts = [
        Moment(0.0, 1.0, [ScoredClass(0, "a", 0.4)]),
        Moment(1.0, 4.0, [ScoredClass(0, "a", 0.8)]),
        Moment(6.0, 7.0, [ScoredClass(0, "a", 0.5)]),
    ]
    ((start, end, name, score), apart) = stretches(parts)
    assert (start, end, name) == (0.0, 4.0, "a")
    assert score == pytest.approx(0.7)
    assert apart == (6.0, 7.0, "a", 0.5)


def test_columns_stand_below_each_other_where_characters_are_wide():
    """`wcwidth` of the C library's own tables: 挥 takes two columns, a combining accent none."""
    lines = table([("挥手", "1"), ("wave", "2"), ("éte\u0301", "3")])
    assert lines == ["  挥手  1", "  wave  2", "  éte\u0301   3"]
