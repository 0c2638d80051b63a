"""One's own boxes: csv and JSON, shares or pixels, names or ids, say the same."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from vidrec.data.boxes.custom import read_boxes
from vidrec.metrics.ava_map import AVAMeanAP
from vidrec.tasks import detection

ROWS = [
    ("a.mp4", 1.5, (0.1, 0.2, 0.5, 0.6), ["run", "jump"]),
    ("a.mp4", 1.5, (0.5, 0.2, 0.9, 0.6), ["run"]),
    ("b", 2.0, (0.25, 0.25, 0.75, 0.75), ["fall"]),
]


HEADER = "video,timestamp,x1,y1,x2,y2,action"


def own(tmp_path, text, suffix=".csv", classes="run\njump\nfall\n", **options):
    (tmp_path / f"a{suffix}").write_text(text)
    (tmp_path / "classes.txt").write_text(classes)
    return read_boxes(str(tmp_path / f"a{suffix}"), str(tmp_path / "classes.txt"), **options)


def as_csv(pixels, rows=ROWS):
    size = ",width,height" if pixels else ""
    lines = [f"action,video,timestamp,x1,y1,x2,y2{size}"]
    for video, time, box, actions in rows:
        corners = [v * s for v, s in zip(box, (640, 480) * 2, strict=True)] if pixels else box
        text = ",".join(map(str, corners)) + (",640,480" if pixels else "")
        lines += [f"{action},{video},{time},{text}" for action in actions or [""]]
    return "\n".join(lines) + "\n"


def as_json(pixels, rows=ROWS):
    frames = {}
    for video, time, box, actions in rows:
        frame = frames.setdefault((video, time), {"video": video, "timestamp": time, "boxes": []})
        if pixels:
            frame |= {"width": 640, "height": 480}
            box = [v * s for v, s in zip(box, (640, 480) * 2, strict=True)]
        frame["boxes"].append({"box": box, "actions": actions})
        frames[video, time] = frame
    return json.dumps(list(frames.values()))


@pytest.mark.parametrize("pixels", [False, True])
@pytest.mark.parametrize(("write", "suffix"), [(as_csv, ".csv"), (as_json, ".json")])
def test_all_forms_say_the_same(tmp_path, write, suffix, pixels):
    records = own(tmp_path, write(pixels), suffix)
    assert [(f.video, f.timestamp) for f in records] == [("a.mp4", 1.5), ("b", 2.0)]
    assert records[0].labels == ((1, 2), (1,))
    np.testing.assert_allclose(records[0].boxes, [ROWS[0][2], ROWS[1][2]], rtol=1e-6)
    assert records.num_classes == 4
    assert records.classes == {1: "run", 2: "jump", 3: "fall"}
    assert records.name(0) == "a.mp4,1.5"


NEGATIVES = [*ROWS, ("b", 2.0, (0.0, 0.0, 0.2, 0.9), []), ("c", 3.0, (0.1, 0.1, 0.4, 0.4), [])]


@pytest.mark.parametrize("pixels", [False, True])
@pytest.mark.parametrize(("write", "suffix"), [(as_csv, ".csv"), (as_json, ".json")])
def test_persons_without_an_action_and_key_frames_without_persons_count(
    tmp_path, write, suffix, pixels
):
    text = write(pixels, NEGATIVES)
    size = {"width": 640, "height": 480} if pixels else {}
    if suffix == ".csv":
        text += ",d,4,,,," + (",640,480" if pixels else "") + "\n"
    else:
        text = json.dumps([*json.loads(text), {"video": "d", "timestamp": 4, "boxes": []} | size])
    records = own(tmp_path, text, suffix)
    assert [frame.video for frame in records] == ["a.mp4", "b", "c", "d"]
    assert [frame.labels for frame in records] == [((1, 2), (1,)), ((3,), ()), ((),), ()]
    np.testing.assert_allclose(records[1].boxes[1], [0, 0, 0.2, 0.9], rtol=1e-6)
    assert records[3].boxes.shape == (0, 4)
    summary = detection.summary(SimpleNamespace(records=records))
    assert summary.endswith("; 2 persons without an action, 1 key frames without a person")


def test_what_is_detected_in_negatives_is_wrong(tmp_path):
    """Wrong in both key frames of negatives, before the right one: precision 1/3."""
    text = f"{HEADER}\na,1,0,0,0.5,1,run\nb,1,0,0,0.5,1,\nc,1,,,,,\n"
    metric = AVAMeanAP(own(tmp_path, text))
    lines = ["a,1,0,0,0.5,1,1,0.7\n", "b,1,0,0,0.5,1,1,0.9\n", "c,1,0,0,0.5,1,1,0.8\n"]
    for count, score in ((1, 1), (2, 1 / 2), (3, 1 / 3)):
        (tmp_path / "found.csv").write_text("".join(lines[:count]))
        assert metric.score_file(tmp_path / "found.csv")["mAP@0.5"] == pytest.approx(score)


def test_boxes_with_a_size_that_are_normalised_already_are_refused(tmp_path):
    text = as_csv(False).replace("y2\n", "y2,width,height\n", 1)
    text = "\n".join([text.split("\n")[0], *(f"{line},640,480" for line in text.split()[1:])])
    message = (
        r"line 2: the box \[0.1, 0.2, 0.5, 0.6\] is normalised already, .* 640 and 480, .*leave"
    )
    with pytest.raises(ValueError, match=message):
        own(tmp_path, text)
    frames = [frame | {"width": 640, "height": 480} for frame in json.loads(as_json(False))]
    with pytest.raises(ValueError, match=r"key frame 0: the box .* is normalised already"):
        own(tmp_path, json.dumps(frames), ".json")
    # A frame of one by one has no pixels: such a size changes nothing.
    records = own(tmp_path, text.replace(",640,480", ",1,1"))
    np.testing.assert_allclose(records[0].boxes[0], ROWS[0][2], rtol=1e-6)


def test_ids_stand_for_names_and_count_from_zero_without_background(tmp_path):
    text = "video,timestamp,x1,y1,x2,y2,action\nv,3,0,0,1,1,2\n"
    assert own(tmp_path, text)[0].labels == ((2,),)
    assert own(tmp_path, text, background=False).classes == {0: "run", 1: "jump", 2: "fall"}


def test_a_table_of_a_spreadsheet_is_read(tmp_path):
    """With a byte order mark, blanks after the commas and a column of its own."""
    text = "\ufeff" + HEADER.replace(",", ", ") + ", who\nv, 3, 0, 0, 1, 1, jump, Ann\n\n"
    (frame,) = own(tmp_path, text)
    assert (frame.video, frame.timestamp, frame.labels) == ("v", 3.0, ((2,),))


def test_a_label_map_with_the_id_0_needs_no_background(tmp_path):
    (tmp_path / "a.csv").write_text(f"{HEADER}\nv,3,0,0,1,1,sit\n")
    (tmp_path / "a.pbtxt").write_text('item { name: "sit" id: 0 } item { name: "lie" id: 1 }')
    paths = str(tmp_path / "a.csv"), str(tmp_path / "a.pbtxt")
    with pytest.raises(ValueError, match="the id 0, which is the background"):
        read_boxes(*paths)
    assert read_boxes(*paths, background=False)[0].labels == ((0,),)


@pytest.mark.parametrize(
    ("text", "suffix", "message"),
    [
        ("video,x1\n", ".csv", r"the header lacks timestamp, y1, x2"),
        (
            "video,timestamp,x1,y1,x2,y2,action\nv,3,0,0,1,1,jmup\n",
            ".csv",
            r"line 2: the action 'jmup' is not in .*did you mean 'jump'",
        ),
        (
            "video,timestamp,x1,y1,x2,y2,action\nv,3,0,0,20,10,run\n",
            ".csv",
            r"line 2: the box \[0, 0, 20, 10\] .*in pixels\?",
        ),
        (
            "video,timestamp,x1,y1,x2,y2,action\nv,now,0,0,1,1,run\n",
            ".csv",
            r"line 2: video 'v', timestamp 'now'",
        ),
        (f"{HEADER}\nv,nan,0,0,1,1,run\n", ".csv", r"line 2: video 'v', timestamp 'nan'"),
        (f"{HEADER}\nv,1,0,0,1,1,4\n", ".csv", r"line 2: the action '4' is not in"),
        (f"{HEADER}\n\nv,1,0,0,1\n", ".csv", r"line 3: 'v,1,0,0,1' has 5 fields.* has 7"),
        (f"{HEADER}\n,1,0,0,1,1,run\n", ".csv", r"line 2: video '', .*: expected the name"),
        (
            f"{HEADER},width,height\nv,1,0,0,9,9,run,640,\n",
            ".csv",
            r"line 2: .*, width '640', height '': expected .* numbers",
        ),
        (
            f"{HEADER},width,height\nv,1,0,0,9,9,run,640,0\n",
            ".csv",
            r"line 2: .*, width '640', height '0': expected .* numbers",
        ),
        (
            '[{"video": "v", "timestamp": 1, "boxes": [{"box": [0, 1], "actions": ["run"]}]}]',
            ".json",
            r"key frame 0: .*box \[0, 1\]: expected .* numbers",
        ),
        ('[{"video": "v"}]', ".json", r"key frame 0 is not"),
        (f"{HEADER}\nv,1,0,0,1,1,\nw,1,,,,,\n", ".csv", r"a\.csv has no box with an action"),
        (f"{HEADER}\nv,1,,,,,run\n", ".csv", r"line 2: .*'1', box .*: expected .* numbers"),
        (f"{HEADER}\nv,1,0,,1,1,\n", ".csv", r"line 2: .*'1', box .*: expected .* numbers"),
        (
            '[{"video": "v", "timestamp": 1, "boxes": [{"box": [0, 0, 1, 1], "actions": null}]}]',
            ".json",
            r"key frame 0 is not .*a person without an action has an empty list",
        ),
        ("{", ".json", r"a\.json:1: not JSON"),
    ],
)
def test_bad_input_is_named_with_its_place(tmp_path, text, suffix, message):
    with pytest.raises(ValueError, match=message):
        own(tmp_path, text, suffix)


def test_proposals_exclusions_and_their_options_are_passed_on(tmp_path):
    (tmp_path / "out.csv").write_text("b,2\n")
    persons = {"a.mp4,1.5": [[0, 0, 0.5, 1, 0.8], [0.5, 0, 1, 1, 0.6]], "c,3": [[0, 0, 1, 1, 1]]}
    (tmp_path / "p.json").write_text(json.dumps(persons))
    paths = {"proposal_file": str(tmp_path / "p.json"), "exclude_file": str(tmp_path / "out.csv")}

    def counts(**options):
        records = own(tmp_path, as_csv(False), **paths, **options)
        return {frame.video: len(frame.proposals) for frame in records}

    assert counts() == {"a.mp4": 1}
    assert counts(person_det_score_thr=0.5) == {"a.mp4": 2}
    assert counts(person_det_score_thr=0.5, num_max_proposals=1) == {"a.mp4": 1}
    assert counts(unannotated=True) == {"a.mp4": 1, "c": 1}
    records = read_boxes(None, str(tmp_path / "classes.txt"), unannotated=True, **paths)
    assert [frame.video for frame in records] == ["a.mp4", "c"]
    idle = f"{HEADER}\nv,1,0,0,1,1,\n"
    assert len(own(tmp_path, idle, unannotated=True)) == 1


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("run\njump\nrun\n", "must contain distinct class names"),
        ("\n", "must contain distinct class names"),
        ("run\njump\n", "the action 'fall' is not in"),
    ],
)
def test_a_list_of_classes_that_does_not_fit_is_told(tmp_path, classes, message):
    with pytest.raises(ValueError, match=message):
        own(tmp_path, as_csv(False), classes=classes)


def test_more_classes_than_columns_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"has the id 3, but num_classes=3.*use num_classes=4"):
        own(tmp_path, as_csv(False), num_classes=3)
