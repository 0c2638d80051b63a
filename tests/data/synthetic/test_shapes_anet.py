import numpy as np
import pytest

from vidrec.data.segments.annotations import read_segments
from vidrec.data.segments.boundary_labels import BoundaryMatchingLabels
from vidrec.data.segments.dataset import ActivityNetDataset
from vidrec.data.segments.features import FeatureFolder
from vidrec.data.synthetic.shapes_anet import CLASSES, draw_sequence, write_shapes_anet


def test_the_dataset_reads_what_is_written(tmp_path):
    root = tmp_path / "data"
    write_shapes_anet(str(root), num_train=4, num_val=2, length=40, channels=8)
    records = read_segments(str(root / "train.json"))
    assert len(records) == 4
    assert set(records.classes) <= set(CLASSES)
    dataset = ActivityNetDataset(
        records, FeatureFolder(str(root / "csv")), BoundaryMatchingLabels(40), 40, 8
    )
    sample = dataset[0]
    assert sample["feature"].shape == (1, 8, 40)
    # Segments begin and end with a position: the proposal of each has an IoU of 1.
    for start, end in (records[0].segments / records[0].span * 40).round().astype(int):
        assert sample["iou_map"][0, end - start - 1, start] == pytest.approx(1, abs=1e-6)
    before = (root / "train.json").stat().st_mtime_ns
    write_shapes_anet(str(root), num_train=4, num_val=2, length=40, channels=8)
    assert (root / "train.json").stat().st_mtime_ns == before


def test_segments_are_apart_and_away_from_the_end():
    for seed in range(200):
        _, segments = draw_sequence(np.random.default_rng(seed), 40, 4)
        times = [time for start, end, _ in segments for time in (start, end)]
        assert 1 <= len(segments) <= 3
        assert min(np.diff(times)) >= 3
        assert times[0] > 0
        assert times[-1] < 40


def test_other_files_stay(tmp_path):
    (tmp_path / "precious").write_text("x")
    with pytest.raises(ValueError, match="not the example data"):
        write_shapes_anet(str(tmp_path), 1, 1)
