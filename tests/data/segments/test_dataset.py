"""tests/golden/localization.json.gz was computed with MMAction2 1.2.0."""

import numpy as np
import pytest
import torch

from tests.paths import read_golden
from vidrec.data.segments.boundary_labels import BoundaryLabels, BoundaryMatchingLabels
from vidrec.data.segments.collate import collate_features
from vidrec.data.segments.dataset import ActivityNetDataset, SlidingWindows, resized
from vidrec.data.segments.features import FeatureFolder
from vidrec.data.segments.records import SegmentRecord, SegmentRecords
from vidrec.models.localizer import SoftNMS, num_real
from vidrec.ops.boundary_candidates import bmn_candidates

GOLDEN = read_golden("localization.json.gz")


def asked(segments):
    """Labels that hand the segments through, padded to three."""
    return {"segments": np.pad(segments, [(0, 3 - len(segments)), (0, 0)])}


def record(name, segments, duration=100.0, span=None):
    span = span or duration
    segments = np.array(segments, np.float64).reshape(-1, 2)
    return SegmentRecord(name, duration, span, span, segments, np.zeros(len(segments), np.int64))


@pytest.fixture
def make(tmp_path):
    def made(records, lengths, **options):
        for name, length in lengths.items():
            values = np.arange(length, dtype=np.float32)[:, None] + np.array([0.0, 1000.0])
            np.save(tmp_path / f"{name}.npy", values.astype(np.float32))
        options = {"labels": asked, "temporal_dim": 10, "feat_dim": 2} | options
        table = SegmentRecords.pack(records, ["x"])
        return ActivityNetDataset(table, FeatureFolder(str(tmp_path)), **options)

    return made


def test_sample_and_batch(make):
    dataset = make([record("a", [[20, 50]]), record("b", [], 60.0)], {"a": 10, "b": 10})
    assert len(dataset) == 2
    sample = dataset[(3, 0)]
    assert sample["feature"].shape == (1, 2, 10)
    assert sample["feature"][0, 1, :3].tolist() == [1000, 1001, 1002]
    np.testing.assert_allclose(sample["segments"][0, 0], [0.2, 0.5])
    assert sample["segments"].dtype == np.float32
    assert "video_end" not in sample
    batch = collate_features([dataset[0], dataset[1]])
    assert batch["feature"].shape == (2, 2, 10)
    assert batch["index"].tolist() == batch["row"].tolist() == [0, 1]
    assert batch["window"].tolist() == [[0, 100], [0, 60]]
    assert batch["window"].dtype == torch.float64


@pytest.mark.parametrize("case", range(2))
def test_segments_are_divided_by_what_the_features_cover(make, case):
    golden = GOLDEN["normalised"][case]
    video = golden["video"]
    segments = [a["segment"] for a in video["annotations"]]
    span = video["feature_frame"] / video["duration_frame"] * video["duration_second"]
    dataset = make([record("a", segments, video["duration_second"], span)], {"a": 10})
    found = dataset[0]["segments"][0, : len(segments)]
    np.testing.assert_allclose(found, golden["gt_bbox"], atol=1e-7)


def test_other_lengths_need_the_option_that_the_error_names(make):
    with pytest.raises(ValueError, match=r"a\.npy has 7 features.*temporal_dim=10.*data\.resize"):
        make([record("a", [])], {"a": 7})
    dataset = make([record("a", [])], {"a": 20}, resize=True)
    assert dataset[0]["feature"][0, 0].tolist() == [0.5 + 2 * i for i in range(10)]


def test_a_single_feature_is_no_sequence_to_resize(make):
    with pytest.raises(ValueError, match=r"a\.npy has a single feature, which data\.resize=true"):
        make([record("a", [])], {"a": 1}, resize=True)
    assert len(make([record("a", [])], {"a": 1}, windows=SlidingWindows(5, 1.0))) == 1


def test_features_of_another_rate_than_the_windows_are_counted(make, caplog):
    records = [record("a", [], 100.0), record("b", [], 100.0)]
    windows = SlidingWindows(10, 1.0)
    make(records, {"a": 100, "b": 90}, windows=windows)
    assert not caplog.records
    make(records, {"a": 100, "b": 50}, windows=windows)
    assert "1 of 2 videos do not fit their duration, such as b: 50 features" in caplog.text
    with pytest.raises(ValueError, match="snippet_seconds=0"):
        SlidingWindows(10, 0)


def test_other_channels_are_refused(make):
    with pytest.raises(ValueError, match=r"has 2 channels, but data\.feat_dim=10.*channels_first"):
        make([record("a", [])], {"a": 10}, feat_dim=10)


def test_missing_features(make):
    records = [record("a", []), record("b", [])]
    with pytest.raises(
        FileNotFoundError, match=r"1 of 2 annotated videos.*is b; data\.skip_missing"
    ):
        make(records, {"a": 10})
    dataset = make(records, {"a": 10}, skip_missing=True)
    assert len(dataset) == 1
    assert len(dataset.records) == 2  # what metrics compare with is complete


def test_resizing_keeps_constants_and_averages():
    constant = np.ones((13, 3), np.float32)
    for length in (4, 13, 50):
        np.testing.assert_allclose(resized(constant, length), np.ones((length, 3)), rtol=1e-6)
    line = np.arange(12.0, dtype=np.float32)[:, None]
    np.testing.assert_allclose(resized(line, 4)[:, 0], [1, 4, 7, 10])
    longer = resized(line, 24)[:, 0]
    np.testing.assert_allclose(longer[1:-1], (np.arange(1, 23) + 0.5) / 2 - 0.5)


def test_windows_cover_a_long_video(make):
    windows = SlidingWindows(stride=5, snippet_seconds=2.0)
    dataset = make([record("a", [[4, 10], [30, 44]], 50.0)], {"a": 23}, windows=windows)
    # Starts 0, 5, 10 and the last one, which ends with the video.
    assert dataset.firsts.tolist() == [0, 5, 10, 13]
    assert [dataset[i]["window"][0].tolist() for i in (1, 3)] == [[10, 20], [26, 20]]
    assert dataset[3]["feature"][0, 0].tolist() == list(range(13, 23))
    np.testing.assert_allclose(dataset[0]["segments"][0, 0], [0.2, 0.5])
    assert not dataset[1]["segments"].any()  # neither lies in 10 ... 30 seconds
    np.testing.assert_allclose(dataset[3]["segments"][0, 0], [0.2, 0.9])
    assert dataset[3]["row"][0] == 0


def test_training_takes_the_windows_with_segments(make):
    windows = SlidingWindows(stride=5, snippet_seconds=2.0, labelled_only=True)
    dataset = make([record("a", [[4, 10], [30, 44]], 50.0)], {"a": 23}, windows=windows)
    assert dataset.firsts.tolist() == [0, 13]
    with pytest.raises(ValueError, match="none of 1 videos has a segment that fits"):
        make([record("a", [[1, 49]], 50.0)], {"a": 23}, windows=windows)


def test_a_segment_belongs_to_a_window_by_its_share(make):
    for share, expected in ((0.4, 1), (0.6, 0)):
        windows = SlidingWindows(5, 1.0, min_overlap=share)
        dataset = make([record("a", [[5, 15]], 20.0)], {"a": 20}, windows=windows)
        assert np.count_nonzero(dataset[0]["segments"][0].any(axis=1)) == expected


def test_short_videos_are_filled_up(make):
    dataset = make([record("a", [])], {"a": 4}, windows=SlidingWindows(5, 1.0))
    assert dataset[0]["feature"][0, 1].tolist() == [1000, 1001, 1002, 1003, 0, 0, 0, 0, 0, 0]
    assert dataset[0]["video_end"].tolist() == [4.0]


def test_places_beyond_the_video_are_no_features(make):
    # Six features of two seconds, but the video ends within the fifth.
    windows = SlidingWindows(3, 2.0, min_overlap=0.5)
    dataset = make([record("a", [[7, 9.5]], 9.0)], {"a": 6}, windows=windows, temporal_dim=4)
    assert dataset.firsts.tolist() == [0, 2]
    last = dataset[1]
    assert last["window"][0].tolist() == [4, 8]
    assert last["video_end"].tolist() == [9.0]
    assert last["feature"][0, 0].tolist() == [2, 3, 4, 0]
    np.testing.assert_allclose(last["segments"][0, 0], [3 / 8, 5 / 8])
    # A window that begins where the video has ended is none.
    dataset = make([record("a", [], 4.0)], {"a": 6}, windows=windows, temporal_dim=4)
    assert dataset.firsts.tolist() == [0]


def test_a_network_that_knows_the_labels_finds_the_segment_of_a_short_video_first(make):
    windows = SlidingWindows(50, 0.25)
    options = {"labels": BoundaryMatchingLabels(100), "temporal_dim": 100, "windows": windows}
    dataset = make([record("a", [[0.25, 1.0]], 1.0)], {"a": 4}, **options)
    batch = collate_features([dataset[0]])
    maps = torch.stack([batch["iou_map"]] * 2, dim=1)
    candidates = bmn_candidates(batch["start"], batch["end"], maps, num_real(batch))
    found = SoftNMS()(candidates, batch)
    count = int(found["count"])
    assert 1 < count <= 10  # the pairs of five boundaries
    assert found["segments"][0, 0].tolist() == [0.25, 1.0]
    assert found["segments"][0, :count].min() >= 0
    assert found["segments"][0, :count].max() <= 1


@pytest.mark.parametrize("labels", [BoundaryMatchingLabels, BoundaryLabels])
def test_labels_end_with_the_video(make, labels):
    """Compared with a longer video, where nothing is cut off."""
    windows = SlidingWindows(10, 1.0)
    options = {"windows": windows, "labels": labels(10)}
    short = make([record("a", [[1, 4]], 4.0)], {"a": 4}, **options)[0]
    longer = make([record("b", [[1, 4]], 10.0)], {"b": 10}, **options)[0]
    for name, until in (("action", 4), ("start", 4), ("end", 5)):
        if name in short:
            assert not short[name][0, until:].any()
            np.testing.assert_array_equal(short[name][0, :until], longer[name][0, :until])
    assert longer["end"][0, 5:].any() == (labels is BoundaryMatchingLabels)
    if "iou_map" in short:
        for duration, start in np.ndindex(10, 10):
            inside = start + duration + 1 <= 4
            expected = longer["iou_map"][0, duration, start] if inside else 0
            assert short["iou_map"][0, duration, start] == expected
