"""AVA's files -> key frames; figures of the sample files computed with MMAction2 1.2.0."""

import logging

import numpy as np
import pytest

from vidrec.data.boxes.annotations import read_ava, read_csv, read_excluded, read_label_map
from vidrec.data.boxes.person_proposals import write_proposals

CSV = """\
0f39OWEqJ24,0902,0.031,0.162,0.670,0.995,12,0
0f39OWEqJ24,0902,0.031,0.162,0.670,0.995,17,0
0f39OWEqJ24,0902,0.031,0.162,0.670,0.995,79,0
0f39OWEqJ24,0903,0.034,0.189,0.669,0.980,12,0
0f39OWEqJ24,0903,0.034,0.189,0.669,0.980,17,0
_-Z6wFjXtGQ,0902,0.063,0.049,0.524,0.996,12,0
_-Z6wFjXtGQ,0902,0.063,0.049,0.524,0.996,74,0
_-Z6wFjXtGQ,0902,0.063,0.049,0.524,0.996,80,0
"""
LABELS = """\
item {
  name: "stand"
  id: 12
}
item {
  name: "take \\"it\\""
  id: 17
}
item { name: "listen" id: 79 }
"""
PROPOSALS = {
    "0f39OWEqJ24,0902": [[0.011, 0.157, 0.655, 0.983, 0.998163]],
    "0f39OWEqJ24,0903": [[0.035, 0.177, 0.692, 0.98, 0.997048]],
    "_-Z6wFjXtGQ,0902": [
        [0.202, 0.15, 0.744, 0.985, 0.281325],
        [0.076, 0.051, 0.554, 0.975, 0.994488],
        [0.07, 0.05, 0.55, 0.97, 0.996238],
    ],
    "_-Z6wFjXtGQ,0950": [[0.2, 0.1, 0.7, 0.9, 0.99]],
}


@pytest.fixture
def ava(tmp_path):
    """read_ava with the sample files, whose texts may be replaced."""

    def read(csv=CSV, labels=LABELS, excluded="0f39OWEqJ24,0903\n_-Z6wFjXtGQ,0902\n", **options):
        for name, text in (("a.csv", csv), ("a.pbtxt", labels), ("out.csv", excluded)):
            (tmp_path / name).write_text(text)
        write_proposals(str(tmp_path / "p.pkl"), options.pop("proposals", PROPOSALS))
        files = {"label_file": "a.pbtxt", "exclude_file": "out.csv", "proposal_file": "p.pkl"}
        paths = {key: str(tmp_path / file) for key, file in files.items()}
        return read_ava(str(tmp_path / "a.csv"), **(paths | options))

    return read


def test_excluded_key_frames_are_left_out_and_actions_of_one_box_join(ava):
    records = ava()
    (frame,) = records
    assert records.name(0) == "0f39OWEqJ24,0902"
    assert frame.labels == ((12, 17, 79),)
    np.testing.assert_allclose(frame.boxes, [[0.031, 0.162, 0.67, 0.995]])
    np.testing.assert_allclose(frame.proposals, [[0.011, 0.157, 0.655, 0.983]])
    assert records.excluded == {("0f39OWEqJ24", 903.0), ("_-Z6wFjXtGQ", 902.0)}
    assert records.excluded_actions == {12: 2, 17: 1, 74: 1, 80: 1}


def test_without_exclusions_all_are_there_and_unsure_proposals_are_not(ava):
    records = ava(exclude_file=None)
    assert [frame.labels for frame in records] == [((12, 17, 79),), ((12, 17),), ((12, 74, 80),)]
    np.testing.assert_allclose(records[2].scores, [0.994488, 0.996238])
    assert [len(f.scores) for f in ava(exclude_file=None, person_det_score_thr=0.0)] == [1, 1, 3]
    # The best of a key frame stays whatever its score.
    best = ava(exclude_file=None, person_det_score_thr=0.999)
    np.testing.assert_allclose(best[2].scores, [0.996238])
    first = ava(exclude_file=None, person_det_score_thr=0.0, num_max_proposals=2)
    np.testing.assert_allclose(first[2].scores, [0.281325, 0.994488])


def test_custom_classes_are_numbered_in_their_order(ava):
    records = ava(custom_classes=[17, 79], num_classes=3)
    assert records[0].labels == ((1, 2),)
    assert records.classes == {17: 'take \\"it\\"', 79: "listen"}
    swapped = ava(custom_classes=[79, 17], num_classes=3)
    assert swapped.columns == {79: 1, 17: 2}
    plain = ava(custom_classes=[17, 79], num_classes=2, background=False)
    assert plain[0].labels == ((0, 1),)


def test_two_people_with_boxes_of_their_own_stay_apart(ava):
    lines = "v,0902,0.1,0.1,0.2,0.2,1,0\nv,0902,0.1,0.1,0.3,0.2,2,1\nv,0902,0.1,0.1,0.2,0.2,3,0\n"
    (frame,) = ava(csv=lines, exclude_file=None, proposal_file=None, label_file=None)
    assert frame.labels == ((1, 3), (2,))
    np.testing.assert_allclose(frame.boxes, [[0.1, 0.1, 0.2, 0.2], [0.1, 0.1, 0.3, 0.2]])
    # No detector has seen it: the whole frame is the one proposal.
    np.testing.assert_array_equal(frame.proposals, [[0, 0, 1, 1]])


def test_boxes_stay_in_the_order_of_the_file(ava):
    lines = "v,0902,0.5,0.1,0.7,0.2,2,0\nw,0903,0,0,1,1,9,0\nv,0902,0.1,0.1,0.2,0.2,1,1\n"
    records = ava(csv=lines, exclude_file=None, proposal_file=None, label_file=None)
    assert [frame.labels for frame in records] == [((2,), (1,)), ((9,),)]
    np.testing.assert_allclose(records[0].boxes[:, 0], [0.5, 0.1])


def test_boxes_a_little_outside_are_cut_to_the_frame(ava):
    """Detectors and annotators end boxes a pixel beyond the edge."""
    records = ava(
        csv="v,0902,-0.004,0,0.5,1.004,12,0\n",
        proposals={"v,0902": [[0.25, -0.004, 1.004, 0.5, 1]]},
    )
    np.testing.assert_allclose(records[0].boxes, [[0, 0, 0.5, 1]])
    np.testing.assert_allclose(records[0].proposals, [[0.25, 0, 1, 0.5]])


def test_actions_of_other_classes_do_not_count_as_excluded(ava):
    records = ava(custom_classes=[12, 79], num_classes=3)
    assert records.excluded_actions == {12: 2}


def test_key_frames_with_proposals_alone_can_be_visited(ava):
    records = ava(unannotated=True)
    names = [records.name(row) for row in range(len(records))]
    assert names == ["0f39OWEqJ24,0902", "_-Z6wFjXtGQ,0950"]
    assert len(records[1].boxes) == 0


def test_published_lists_may_name_key_frames_without_boxes(ava):
    lines = CSV + "v,1000\nw,1001,,,,,,\n"
    assert len(ava(csv=lines, exclude_file=None)) == 3
    names = [f.video for f in ava(csv=lines, exclude_file=None, unannotated=True)]
    assert names == ["0f39OWEqJ24", "0f39OWEqJ24", "_-Z6wFjXtGQ", "_-Z6wFjXtGQ", "v", "w"]


def test_key_frames_of_proposals_alone_need_no_annotations(tmp_path):
    file = str(tmp_path / "p.pkl")
    write_proposals(file, PROPOSALS)
    records = read_ava(None, proposal_file=file, unannotated=True)
    assert [records.name(row) for row in range(len(records))] == sorted(PROPOSALS)
    assert len(records.boxes.values) == 0
    for options in ({"proposal_file": file}, {"unannotated": True}):
        with pytest.raises(ValueError, match="set unannotated=true and proposal_file=FILE too"):
            read_ava(None, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"csv": "v,0902,10,20,300,400,12,0\n"}, r"line 1: .*\[10, 20, 300, 400\].*in pixels\?"),
        ({"csv": "v,0902,0.1,0.2,1.3,0.4,12,0\n"}, r"line 1: .*\(1 of 1 are\): boxes are"),
        ({"csv": "v,0902,0.5,0.5,0.2,0.1,12,0\n"}, r"no area \(1 of 1 have none\).*not a corner"),
        ({"csv": CSV + "v,0902,0.1,0.2\n"}, r"line 9: 'v,0902,0.1,0.2' is not video,timestamp"),
        ({"csv": CSV + "v,0902,0.1,0.2,x,0.4,12,0\n"}, r"line 9: .* is not video,timestamp"),
        (
            {"csv": CSV + "v,0902,0.1,0.2,0.3,0.4,81,0\n"},
            r"line 9: the action 81 is not in \[1, 80",
        ),
        (
            {"csv": CSV + "v,0100,0.1,0.2,0.3,0.4,12,0\n"},
            r"timestamp 100 is outside",
        ),
        ({"csv": "v,0902,-0.1,0.2,0.3,0.4,12,0\n"}, r"line 1: .*\(1 of 1 are\): boxes are"),
        ({"csv": "v,0902,0.1,0.2,0.3,0.2,12,0\n"}, r"line 1: .* has no area"),
        ({"csv": CSV + "v,1801,0.1,0.2,0.3,0.4,12,0\n"}, r"line 9: the timestamp 1801 is outside"),
        ({"num_classes": 79}, r"has the id 79, but num_classes=79.*use num_classes=80"),
        ({"num_classes": 60}, r"has the id 79, but num_classes=60.*use num_classes=80"),
        ({"custom_classes": [17, 5], "num_classes": 3}, r"a.pbtxt has no id \[5\]"),
        ({"custom_classes": [17, 79]}, r"are 2 classes, one more with the background.*=3 instead"),
        ({"custom_classes": [17, 17], "num_classes": 3}, r"are not distinct ids >= 1"),
        (
            {"custom_classes": [0, 17], "num_classes": 3, "label_file": None},
            r"\[0, 17\] are not distinct ids >= 1",
        ),
        ({"labels": 'item { name: "x" id: 5 }'}, r"no action of .*a.pbtxt.*first is 5"),
        ({"csv": CSV + "\n\nv,0902,0.1\n"}, r"line 11: 'v,0902,0.1' is not video"),
        ({"csv": CSV + "v,0902,0.1,0.2,0.3,0.4,12.5,0\n"}, r"line 9: .* is not video"),
        ({"csv": CSV + "v,0902,0.1,0.2,0.3,0.4,inf,0\n"}, r"line 9: .* is not video"),
        ({"csv": CSV + "v,0902,0.1,0.2,0.3,0.4,-1,0\n"}, r"line 9: .* is not video"),
        ({"csv": CSV + "v,nan,0.1,0.2,0.3,0.4,12,0\n"}, r"line 9: .* is not video"),
        ({"csv": CSV + "v,0902,nan,0.2,0.3,0.4,12,0\n"}, r"line 9: .* is not four numbers"),
        ({"csv": CSV + "v\n"}, r"line 9: 'v' is not video"),
        ({"csv": CSV + ",0902,0.1,0.2,0.3,0.4,12,0\n"}, r"line 9: .* is not video"),
        ({"csv": "video,timestamp,x1,y1,x2,y2,action,person\n" + CSV}, r"line 1: .* numbers after"),
        ({"csv": "\n"}, r"a.csv has no box that counts"),
        ({"excluded": "v,nan\n"}, r"out.csv, line 1: 'v,nan' is not video,timestamp"),
        ({"proposals": {}}, r"p.pkl has no box for any key frame of"),
        ({"proposals": {"0f39OWEqJ24,0902": []}}, r"p.pkl has no box for any key frame of"),
        (
            {"proposals": {"0f39OWEqJ24,0902": [[0, 0, 1, 1, float("nan")]]}},
            r"p.pkl, key '0f39OWEqJ24,0902': the score nan is not a number",
        ),
        ({"labels": "item { name: 12 }"}, r"a.pbtxt, line 1: expected item {name:"),
        ({"labels": "stand\nsit\n"}, r"line 1: expected item {name: .* found 'stand sit'"),
        ({"labels": "\n"}, r"has no classes; expected item"),
        ({"excluded": "v;0902\n"}, r"out.csv, line 1: 'v;0902' is not video,timestamp"),
        ({"proposals": {"v,0902": [[0, 0, 1, 1, 1]]}}, r"none of the 1 keys .*'v,0902' and '0f39"),
        (
            {"proposals": {"0f39OWEqJ24,0902": [[1, 2, 300, 400, 1]]}},
            r"p.pkl, key '0f39OWEqJ24,0902': .*in pixels\?",
        ),
    ],
)
def test_bad_input_is_named_with_its_place_and_the_way_out(ava, options, message):
    with pytest.raises(ValueError, match=message):
        ava(**options)


@pytest.mark.parametrize("key", ["label_file", "exclude_file", "proposal_file"])
def test_a_missing_file_is_told_with_what_is_there(ava, tmp_path, key):
    with pytest.raises(FileNotFoundError, match=r"gone\.pkl does not exist; .*p\.pkl"):
        ava(**{key: str(tmp_path / "gone.pkl")})
    with pytest.raises(FileNotFoundError, match=r"is a folder, expected a file"):
        read_csv(str(tmp_path))


def test_some_missing_proposals_are_only_told(ava, caplog):
    with caplog.at_level(logging.WARNING):
        records = ava(exclude_file=None, proposals={"_-Z6wFjXtGQ,0902": [[0.1, 0.1, 0.5, 0.5, 1]]})
    assert "no proposal for 2 of 3 key frames, e.g. 0f39OWEqJ24,0902" in caplog.text
    np.testing.assert_array_equal(records[0].proposals, [[0, 0, 1, 1]])


def test_a_few_empty_boxes_of_many_are_only_told(tmp_path, caplog):
    lines = [f"v,{i:04d},0.1,0.1,0.4,0.4,12,0\n" for i in range(902, 1102)]
    (tmp_path / "a.csv").write_text("".join(lines) + "v,1200,0.4,0.1,0.4,0.4,12,0\n")
    with caplog.at_level(logging.WARNING):
        table = read_csv(str(tmp_path / "a.csv"))
    assert len(table.boxes) == 201
    assert "has no area (1 of 201 have none)" in caplog.text


def test_label_map_and_exclusions(tmp_path):
    (tmp_path / "a.pbtxt").write_text('label { name: "bend/bow" label_id: 1 label_type: X }\n')
    assert read_label_map(str(tmp_path / "a.pbtxt")) == {1: "bend/bow"}
    (tmp_path / "out.csv").write_text("a,0902\n\nb,1000\n")
    assert read_excluded(str(tmp_path / "out.csv")) == {("a", 902.0), ("b", 1000.0)}
