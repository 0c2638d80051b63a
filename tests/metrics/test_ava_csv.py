import csv

import numpy as np
import pytest

from vidrec.metrics.ava_csv import BoxDetections, read_detections, write_detections


def read(tmp_path, text):
    (tmp_path / "found.csv").write_text(text, encoding="utf-8")
    return read_detections(tmp_path / "found.csv")


def test_lines_become_detections_by_key_frame(tmp_path):
    found = read(
        tmp_path,
        "a,902,0.1,0.2,0.3,0.4,12,0.75\n"
        "b,0903,0,0,1,1,3,1e-3\n"
        "\n"
        "a,0902,0.5,0.5,1,1,80.0,0.5\r\n"
        "a,902.5,0.5,0.5,1,1,1,0.25",
    )
    # A key frame is the same however its clock is written, and wherever its lines are.
    assert found.names == ["a,0902", "b,0903", "a,902.5"]
    assert found.frames.tolist() == [0, 1, 0, 2]
    assert found.boxes.tolist()[:2] == [[0.1, 0.2, 0.3, 0.4], [0, 0, 1, 1]]
    assert found.actions.tolist() == [12, 3, 80, 1]
    assert found.scores.tolist() == [0.75, 0.001, 0.5, 0.25]


def test_every_number_is_what_a_reader_of_lines_reads(tmp_path):
    rng = np.random.default_rng(0)
    lines = [
        [
            *(f"v{i % 7}", str(902 + i % 3)),
            *(f"{x:.{i % 12}f}" for x in rng.random(4)),
            *(str(i % 80), f"{rng.random():.9g}"),
        ]
        for i in range(500)
    ]
    found = read(tmp_path, "".join(",".join(line) + "\n" for line in lines))
    with (tmp_path / "found.csv").open() as file:
        expected = [[float(value) for value in row[2:]] for row in csv.reader(file)]
    ours = np.column_stack([found.boxes, found.actions, found.scores])
    assert ours.tolist() == expected
    assert [found.names[i] for i in found.frames] == [f"{v},{int(t):04d}" for v, t, *_ in lines]


def test_names_of_any_length_and_script(tmp_path):
    names = ["x" * 31, "x" * 32, "x" * 33, "y" * 300, "видео #1", '"quoted"']
    found = read(tmp_path, "".join(f"{name},7,0,0,1,1,1,1\n" for name in names))
    assert found.names == [f"{name},0007" for name in names]


def test_an_empty_file_has_no_detection(tmp_path):
    found = read(tmp_path, "")
    assert (found.names, found.boxes.shape, found.scores.shape) == ([], (0, 4), (0,))


@pytest.mark.parametrize(
    "line",
    [
        "a,902,0.1,0.2,0.3,0.4,12",
        "a,902,0.1,0.2,0.3,0.4,12,0.5,7",
        "a,902,0.1,0.2,0.3,0.4,run,0.5",
        "a,902,0.1,0.2,0.3,0.4,1.5,0.5",
        "a,902,0.1,0.2,0.3,0.4,1,nan",
        "a,902,,,,,,",
        "video_id,frame_timestamp,x_1,y_1,x_2,y_2,action_id,score",
        "a,902,0.1,0.2,inf,0.4,1,0.5",
    ],
)
def test_the_line_that_is_none_is_named(tmp_path, line):
    with pytest.raises(ValueError, match=r"found\.csv, line 3: .* is not video,timestamp") as error:
        read(tmp_path, f"a,902,0.1,0.2,0.3,0.4,1,0.5\n\n{line}\nb,902,0.1,0.2,0.3,0.4,1,0.5\n")
    assert repr(line) in str(error.value)


def test_boxes_in_pixels_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"detection 2 has the box .*divide pixels"):
        read(tmp_path, "a,1,0,0,1,1,1,0.5\na,1,10,20,110,120,1,0.5\n")


def test_writing_brings_32_bits_back(tmp_path):
    rng = np.random.default_rng(0)
    boxes = rng.random((50, 4), dtype=np.float32)
    scores = rng.random(50, dtype=np.float32) ** 8
    detections = BoxDetections(
        ["a,0902", "b,1800"], np.arange(50) % 2, boxes, rng.integers(1, 81, 50), scores
    )
    write_detections(detections, tmp_path / "deep" / "found.csv")
    found = read_detections(tmp_path / "deep" / "found.csv")
    np.testing.assert_array_equal(found.boxes.astype(np.float32), boxes)
    np.testing.assert_array_equal(found.scores.astype(np.float32), scores)
    np.testing.assert_array_equal(found.actions, detections.actions)
    assert [found.names[i] for i in found.frames] == ["a,0902", "b,1800"] * 25
    first = (tmp_path / "deep" / "found.csv").read_text().splitlines()[0].split(",")
    assert (len(first), first[:2]) == (8, ["a", "0902"])
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["found.csv"]
