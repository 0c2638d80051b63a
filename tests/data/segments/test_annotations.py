import json
import logging

import numpy as np
import pytest

from vidrec.data.segments.annotations import read_segments

PUBLISHED = {
    "v_a": {
        "duration_second": 100.0,
        "duration_frame": 1000,
        "feature_frame": 900,
        "annotations": [
            {"segment": [30.0, 60.0], "label": "swim"},
            {"segment": [1, 2], "label": "run"},
        ],
    },
    "v_ü": {
        "duration_second": 50,
        "duration_frame": 1001,
        "feature_frame": 1001,
        "annotations": [],
    },
}
OFFICIAL = {
    "version": "1.3",
    "database": {
        "a": {
            "duration": 10.0,
            "subset": "training",
            "annotations": [{"segment": [1, 4], "label": "x"}],
        },
        "b": {"duration": 20.0, "subset": "validation", "annotations": []},
    },
}


def written(tmp_path, content, name="a.json"):
    path = tmp_path / name
    path.write_text(json.dumps(content))
    return str(path)


def test_published_form(tmp_path):
    records = read_segments(written(tmp_path, PUBLISHED))
    assert [record.name for record in records] == ["v_a", "v_ü"]
    assert records.classes == ("run", "swim")
    first = records[0]
    assert first.segments.tolist() == [[30, 60], [1, 2]]
    assert first.labels.tolist() == [1, 0]
    # 900 of 1000 frames have features; 62 whole intervals of 16 frames are 992.
    assert (first.duration, first.span) == (100.0, 90.0)
    assert first.result_span == pytest.approx(99.2)
    assert records[1].segments.shape == (0, 2)
    assert records.segments.row_of_value.tolist() == [0, 0]


def test_official_form_and_its_subsets(tmp_path):
    path = written(tmp_path, OFFICIAL)
    assert [r.name for r in read_segments(path)] == ["a", "b"]
    only = read_segments(path, subset="training")
    assert [(r.name, r.span, r.result_span) for r in only] == [("a", 10.0, 10.0)]
    # The same without the outer level.
    inner = written(tmp_path, OFFICIAL["database"], "inner.json")
    assert [r.name for r in read_segments(inner, subset=["validation"])] == ["b"]


def test_subsets_from_a_table(tmp_path):
    table = tmp_path / "info.csv"
    table.write_text("video,numFrame,subset\nv_a,1000,training\nv_ü,3,validation\n")
    path = written(tmp_path, PUBLISHED)
    records = read_segments(path, subset="validation", video_info=str(table))
    assert [record.name for record in records] == ["v_ü"]


def test_several_files(tmp_path):
    paths = [written(tmp_path, PUBLISHED), written(tmp_path, OFFICIAL, "b.json")]
    assert len(read_segments(paths)) == 4


@pytest.mark.parametrize(
    ("segment", "message"),
    [
        ([60.0, 30.0], r"v_a has the segment \[60, 30\], which ends before it starts"),
        ([30.0, 160.0], r"v_a has the segment \[30, 160\], but the video lasts 100 seconds"),
        ([-7.0, 3.0], r"v_a has the segment \[-7, 3\]"),
    ],
)
def test_wrong_segments_are_refused(tmp_path, segment, message):
    wrong = json.loads(json.dumps(PUBLISHED))
    wrong["v_a"]["annotations"][0]["segment"] = segment
    with pytest.raises(ValueError, match=message):
        read_segments(written(tmp_path, wrong))


def test_a_little_too_long_is_kept_as_it_is(tmp_path):
    near = json.loads(json.dumps(PUBLISHED))
    near["v_a"]["annotations"][0]["segment"] = [90.0, 100.8]
    assert read_segments(written(tmp_path, near))[0].segments[0].tolist() == [90.0, 100.8]


@pytest.mark.parametrize(
    "segment",
    [[], [1.0], [1, 2, 3, 4], [[1, 2]], ["1", "2"], [True, 2], [float("nan"), 2], [1, None], "12",
     [0, float("inf")], [0, 10**400], {"0": 1, "1": 2}, None],
)  # fmt: skip
def test_anything_but_two_numbers_is_refused(tmp_path, segment):
    wrong = json.loads(json.dumps(PUBLISHED))
    wrong["v_a"]["annotations"][1]["segment"] = segment
    with pytest.raises(ValueError, match=r"a\.json: v_a has the segment .*two finite numbers"):
        read_segments(written(tmp_path, wrong))


def test_two_wrong_segments_do_not_make_three_right_ones(tmp_path):
    wrong = json.loads(json.dumps(PUBLISHED))
    for annotation in wrong["v_a"]["annotations"]:
        annotation["segment"] = [1.0, 2.0, 3.0]
    wrong["v_ü"]["annotations"] = [{"segment": [1.0, 2.0], "label": "run"}]
    with pytest.raises(ValueError, match=r"v_a has the segment \[1\.0, 2\.0, 3\.0\]"):
        read_segments(written(tmp_path, wrong))


@pytest.mark.parametrize("label", [5, None, "", ["run"]])
def test_labels_are_names(tmp_path, label):
    wrong = json.loads(json.dumps(PUBLISHED))
    wrong["v_a"]["annotations"][0]["label"] = label
    with pytest.raises(ValueError, match=r"a\.json: v_a has the label .*expected the name"):
        read_segments(written(tmp_path, wrong))


@pytest.mark.parametrize("annotation", [{"label": "run"}, {"segment": [1, 2]}, [1, 2], None])
def test_annotations_have_a_segment_and_a_label(tmp_path, annotation):
    wrong = json.loads(json.dumps(PUBLISHED))
    wrong["v_a"]["annotations"][0] = annotation
    with pytest.raises(ValueError, match=r"a\.json: v_a has the annotation .*expected an object"):
        read_segments(written(tmp_path, wrong))


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ({"feature_frame": 63}, r"feature_frame=63, 6\.3% of its duration_frame=1000"),
        ({"feature_frame": 5000}, r"feature_frame=5000, 500\.0% of its duration_frame=1000"),
        ({"feature_frame": float("nan")}, "must be positive and finite"),
        ({"feature_frame": 0}, "must be positive and finite"),
        ({"duration_frame": "1000"}, "must be positive and finite"),
        ({"duration_frame": -1}, "must be positive and finite"),
        ({"subset": ["training"]}, "subset"),
    ],
)
def test_what_features_cover_must_be_possible(tmp_path, times, message):
    wrong = json.loads(json.dumps(PUBLISHED))
    wrong["v_a"] |= times
    with pytest.raises(ValueError, match=rf"a\.json: v_a has .*{message}"):
        read_segments(written(tmp_path, wrong))


@pytest.mark.parametrize(
    ("frames", "covered"), [(37, 16), (6276, 3888), (5792, 5808), (10, 64), (1000, 990)]
)
def test_what_published_features_cover(tmp_path, frames, covered):
    right = {"a": PUBLISHED["v_a"] | {"duration_frame": frames, "feature_frame": covered}}
    (record,) = read_segments(written(tmp_path, right))
    assert record.span == pytest.approx(100 * covered / frames)


def test_two_files_do_not_annotate_a_video_differently(tmp_path):
    changed = json.loads(json.dumps(PUBLISHED))
    changed["v_a"]["annotations"].pop()
    paths = [written(tmp_path, PUBLISHED), written(tmp_path, changed, "b.json")]
    with pytest.raises(ValueError, match=r"b\.json: v_a is annotated in another way in .*a\.json"):
        read_segments(paths)
    assert len(read_segments([paths[0], paths[0]])) == 2


def test_videos_without_a_subset_are_counted(tmp_path, caplog):
    table = tmp_path / "info.csv"
    table.write_text("video,subset\nv_a,training\n")
    path = written(tmp_path, PUBLISHED)
    assert len(read_segments(path, subset="training", video_info=str(table))) == 1
    assert "1 videos have no subset" in caplog.text
    table.write_text("video,subset\nv_a,training\nv_a,validation\n")
    with pytest.raises(ValueError, match=r"info\.csv:3: v_a is of training as well as"):
        read_segments(path, subset="training", video_info=str(table))
    table.write_text("video,subset\nv_a\n")
    with pytest.raises(ValueError, match=r"info\.csv:2: 1 fields, but 2 columns"):
        read_segments(path, subset="training", video_info=str(table))


@pytest.mark.parametrize("duration", [0, -1.0, None, float("inf"), float("nan"), "12", True])
def test_a_video_without_duration_is_refused(tmp_path, duration):
    wrong = json.loads(json.dumps(PUBLISHED))
    wrong["v_ü"]["duration_second"] = duration
    with pytest.raises(ValueError, match="v_ü has a duration of"):
        read_segments(written(tmp_path, wrong))


def test_segments_of_zero_length_are_counted(tmp_path, caplog):
    empty = json.loads(json.dumps(PUBLISHED))
    empty["v_a"]["annotations"][0]["segment"] = [4.0, 4.0]
    with caplog.at_level(logging.WARNING):
        records = read_segments(written(tmp_path, empty))
    assert len(records.segments.values) == 2
    assert "1 segments of zero length" in caplog.text


def test_empty_subset_says_which_there_are(tmp_path):
    with pytest.raises(ValueError, match=r"no videos of subset test: .* training, validation"):
        read_segments(written(tmp_path, OFFICIAL), subset="test")
    with pytest.raises(ValueError, match="no videos of subset test: it has none"):
        read_segments(written(tmp_path, PUBLISHED), subset="test")
    with pytest.raises(ValueError, match="has no videos"):
        read_segments(written(tmp_path, {}))


def test_other_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match="not an annotation file"):
        read_segments(written(tmp_path, {"results": {}}))
    (tmp_path / "b.json").write_text("{")
    with pytest.raises(ValueError, match=r"b\.json:1: not JSON"):
        read_segments(str(tmp_path / "b.json"))


def test_table_is_a_few_arrays(tmp_path):
    many = {f"v_{i}": PUBLISHED["v_a"] for i in range(500)}
    records = read_segments(written(tmp_path, many))
    assert records[499].name == "v_499"
    np.testing.assert_array_equal(records.segments.ends, np.arange(0, 1001, 2))
    with pytest.raises(IndexError):
        records[500]


def test_videos_without_annotations_are_to_be_predicted(tmp_path):
    bare = {"database": {"a": {"duration": 10.0, "subset": "testing"}, "b": {"duration": 4}}}
    records = read_segments(written(tmp_path, bare))
    assert [(record.name, record.duration) for record in records] == [("a", 10.0), ("b", 4.0)]
    assert len(records.segments.values) == 0
    assert [r.name for r in read_segments(written(tmp_path, bare), "testing")] == ["a"]
    mixed = written(tmp_path, {"database": OFFICIAL["database"] | {"c": {"duration": 4}}})
    with pytest.raises(ValueError, match=r"a\.json: c has no `annotations`, but other videos have"):
        read_segments(mixed)
