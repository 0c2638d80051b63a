"""One's own boxes: csv and JSON, shares or pixels, names or ids, say the same."""

import json

import numpy as np
import pytest

from vidrec.data.own_boxes import read_boxes

ROWS = [
    ("a.mp4", 1.5, (0.1, 0.2, 0.5, 0.6), ["run", "jump"]),
    ("a.mp4", 1.5, (0.5, 0.2, 0.9, 0.6), ["run"]),
    ("b", 2.0, (0.25, 0.25, 0.75, 0.75), ["fall"]),
]


def own(tmp_path, text, suffix=".csv", classes="run\njump\nfall\n", **options):
    (tmp_path / f"a{suffix}").write_text(text)
    (tmp_path / "classes.txt").write_text(classes)
    return read_boxes(str(tmp_path / f"a{suffix}"), str(tmp_path / "classes.txt"), **options)


def as_csv(pixels):
    size = ",width,height" if pixels else ""
    lines = [f"action,video,timestamp,x1,y1,x2,y2{size}"]
    for video, time, box, actions in ROWS:
        corners = [v * s for v, s in zip(box, (640, 480) * 2, strict=True)] if pixels else box
        text = ",".join(map(str, corners)) + (",640,480" if pixels else "")
        lines += [f"{action},{video},{time},{text}" for action in actions]
    return "\n".join(lines) + "\n"


def as_json(pixels):
    frames = {}
    for video, time, box, actions in ROWS:
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


def test_ids_stand_for_names_and_count_from_zero_without_background(tmp_path):
    text = "video,timestamp,x1,y1,x2,y2,action\nv,3,0,0,1,1,2\n"
    assert own(tmp_path, text)[0].labels == ((2,),)
    assert own(tmp_path, text, background=False).classes == {0: "run", 1: "jump", 2: "fall"}


@pytest.mark.parametrize(
    ("text", "suffix", "message"),
    [
        ("video,x1\n", ".csv", r"first line names the columns and has no timestamp, y1, x2"),
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
            r"line 2: timestamp 'now'",
        ),
        ('[{"video": "v"}]', ".json", r"key frame 0 is not"),
        ("{", ".json", r"is not JSON"),
    ],
)
def test_bad_input_is_named_with_its_place(tmp_path, text, suffix, message):
    with pytest.raises(ValueError, match=message):
        own(tmp_path, text, suffix)


def test_more_classes_than_columns_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"has the id 3, but num_classes=3.*use num_classes=4"):
        own(tmp_path, as_csv(False), num_classes=3)
