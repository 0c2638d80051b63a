"""Hand-made key frames: where persons are between them."""

import pytest

from vidrec.inference.box_tracks import BoxTracks
from vidrec.inference.prediction import KeyFrame, Person, ScoredClass


def person(x, name, width=0.2):
    return Person((x, 0.2, x + width, 0.9), 1.0, [ScoredClass(0, name, 0.5)])


def shown(tracks, seconds):
    return [(round(p.box[0], 3), p.actions[0].name) for p in tracks.at(seconds)]


def test_a_person_moves_from_box_to_box_with_the_actions_of_the_nearest_key_frame():
    tracks = BoxTracks([KeyFrame(1.0, [person(0.1, "sit")]), KeyFrame(2.0, [person(0.2, "stand")])])
    assert [shown(tracks, t) for t in (1.0, 1.25, 1.75, 2.0)] == [
        [(0.1, "sit")], [(0.125, "sit")], [(0.175, "stand")], [(0.2, "stand")]
    ]  # fmt: skip


def test_a_person_is_shown_for_half_an_interval_before_and_after():
    tracks = BoxTracks([KeyFrame(t, [person(0.1, "sit")]) for t in (2.0, 2.5, 3.0)])
    assert [bool(tracks.at(t)) for t in (1.7, 1.76, 3.24, 3.3)] == [False, True, True, False]
    lone = BoxTracks([KeyFrame(2.0, [person(0.1, "sit")])])
    assert [bool(lone.at(t)) for t in (1.4, 1.6, 2.4, 2.6)] == [False, True, True, False]


def test_where_key_frames_are_missing_nobody_is():
    times = (0.0, 1.0, 2.0, 9.0, 10.0)
    tracks = BoxTracks([KeyFrame(t, [person(t / 100, "sit")]) for t in times])
    assert [len(tracks.at(t)) for t in (2.4, 3.0, 5.5, 8.4, 8.6)] == [1, 0, 0, 0, 1]
    assert shown(tracks, 2.4) == [(0.02, "sit")]  # it is not on its way to seven seconds later


def test_persons_are_told_apart_by_their_boxes_not_by_their_order():
    tracks = BoxTracks(
        [
            KeyFrame(0.0, [person(0.1, "left"), person(0.6, "right")]),
            KeyFrame(1.0, [person(0.7, "right"), person(0.15, "left"), person(0.4, "new")]),
        ]
    )
    assert shown(tracks, 0.4) == [(0.12, "left"), (0.64, "right")]
    assert sorted(shown(tracks, 0.6)) == [(0.13, "left"), (0.4, "new"), (0.66, "right")]


@pytest.mark.parametrize(
    "frames", [[], [KeyFrame(0.0, [])], [KeyFrame(0.0, []), KeyFrame(1.0, [])]]
)
def test_without_persons_there_is_nobody(frames):
    assert BoxTracks(frames).at(0.2) == []
