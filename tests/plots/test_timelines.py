import numpy as np
from PIL import Image

from vidrec.data.segments.records import SegmentRecord, SegmentRecords
from vidrec.metrics.activitynet_json import SegmentDetections
from vidrec.plots.timelines import draw_all_segments, draw_segments

RECORDS = SegmentRecords.pack(
    [
        SegmentRecord(name, 50.0, 50.0, 50.0, np.array([[5.0, 20.0]]), np.array([0]))
        for name in ("v_a", "folder/b", "c")
    ],
    ["jump $ rope"],
)


def colours(path):
    pixels = np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3)
    return {tuple(colour) for colour in pixels.tolist()}


def test_a_picture_for_every_video_with_segments(tmp_path):
    found = SegmentDetections(
        np.array([0, 0, 1]), np.array([[4.0, 19], [30, 40], [0, 50]]), np.array([0.9, 0.1, 0.5])
    )
    draw_all_segments(found, RECORDS, tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*")) == ["folder_b.png", "v_a.png"]
    assert (47, 109, 179) in colours(tmp_path / "v_a.png")  # the best one in full colour


def test_a_sheet_of_sequences(tmp_path):
    rows = {
        "index": np.arange(3),
        "row": np.array([0, 1, 2]),
        "segments": np.tile([5.0, 20.0], (3, 4, 1)),
        "scores": np.full((3, 4), 0.5),
        "count": np.array([4, 1, 0]),
    }
    draw_segments(rows, RECORDS, tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").stat().st_size > 1000
