"""The result of a prediction."""

import json

import numpy as np
import pytest

from vidrec.inference.prediction import (
    KeyFrame,
    Person,
    Prediction,
    ScoredClass,
    Segment,
    best_classes,
)


def prediction(task, **found):
    return Prediction("a.mp4", "best.pt", task, "1 clip x 1 crop", **found)


def test_the_best_classes_come_first_and_of_equal_ones_the_lower_number():
    scores = np.array([0.1, 0.4, 0.1, 0.4], np.float32)
    best = best_classes(scores, ["a", "b", "c", "d"], 3)
    assert [(each.label, each.name) for each in best] == [(1, "b"), (3, "d"), (0, "a")]
    assert best[0].score == pytest.approx(0.4)


def test_json_has_every_field_but_the_array_of_scores():
    walking = ScoredClass(2, "wälk <b>", 0.75)
    person = Person((0.1, 0.2, 0.5, 1.0), 0.9, [walking])
    found = prediction("detection", key_frames=[KeyFrame(1.5, [person])], duration=3.0)
    content = json.loads(found.to_json())
    assert content["key_frames"] == [
        {
            "time": 1.5,
            "persons": [
                {
                    "box": [0.1, 0.2, 0.5, 1.0],
                    "score": 0.9,
                    "actions": [{"label": 2, "name": "wälk <b>", "score": 0.75}],
                }
            ],
        }
    ]
    assert (content["schema"], content["video"], content["duration"]) == (1, "a.mp4", 3.0)
    assert "scores" not in content
    assert found.boxes.tolist() == [[0.1, 0.2, 0.5, 1.0]]


def test_a_video_without_a_label_of_its_own_says_where_the_result_is():
    found = prediction("localization", segments=[Segment(0.0, 1.0, 0.5)])
    with pytest.raises(ValueError, match=r"a\.mp4 has no label of the whole video: see \.segments"):
        print(found.label)
    assert prediction("detection").boxes.shape == (0, 4)
