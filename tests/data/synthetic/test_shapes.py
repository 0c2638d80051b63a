"""The example data: real files, the same everywhere; only order tells `motions` apart."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import av
import numpy as np
import pytest

from vidrec.data.synthetic import shapes
from vidrec.data.synthetic.shapes import (
    MOTIONS,
    SHAPES,
    draw_motion,
    draw_shape,
    write_motions,
    write_shapes,
)
from vidrec.data.video.writer import write_video


def rng(seed=0):
    return np.random.default_rng(seed)


def decode(path):
    with av.open(str(path)) as container:
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])


def snapshot(folder):
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.suffix == ".txt"
    }


def disc_height(frames):
    """Where the disc is, as an angle round the frame's height, (F,): what is not background."""
    frames = frames[:, :, ::4].astype(np.float32)
    moving = np.abs(frames - np.median(frames, axis=0)).sum(axis=(2, 3))
    angle = np.exp(2j * np.pi * np.arange(frames.shape[1]) / frames.shape[1])
    return np.angle(moving @ angle)


def classify(train, train_label, val, val_label):
    """Accuracy of the better of nearest centroids and least squares, on whitened features."""
    mean, std = train.mean(0), train.std(0) + 1e-6
    train, val = (train - mean) / std, (val - mean) / std
    centroids = np.stack([train[train_label == k].mean(0) for k in range(4)])
    nearest = np.linalg.norm(val[:, None] - centroids, axis=2).argmin(1)
    bias = np.ones((len(train), 1)), np.ones((len(val), 1))
    x = np.hstack([train, bias[0]])
    weights = np.linalg.solve(x.T @ x + 10 * np.eye(x.shape[1]), x.T @ np.eye(4)[train_label])
    linear = (np.hstack([val, bias[1]]) @ weights).argmax(1)
    return max((nearest == val_label).mean(), (linear == val_label).mean())


def test_the_files_are_videos_lists_and_class_names(tmp_path):
    root = tmp_path / "data" / "shapes"
    write_shapes(str(root), num_train=9, num_val=2)
    assert (root / "classes.txt").read_text().split() == list(SHAPES)
    for split, count in (("train", 9), ("val", 2)):
        rows = [line.split() for line in (root / f"{split}.txt").read_text().splitlines()]
        assert [int(label) for _, label in rows] == [i % 8 for i in range(count)]
        for path, _ in rows:
            with av.open(str(root / path)) as container:
                assert container.streams.video[0].codec_context.name == "h264"
                assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"
    assert len(list((root / "videos").iterdir())) == 11


def test_two_machines_write_the_same(tmp_path):
    for name in ("a", "b"):
        write_motions(str(tmp_path / name), num_train=4, num_val=4)
    assert snapshot(tmp_path / "a") == snapshot(tmp_path / "b")
    videos = [sorted((tmp_path / name / "videos").iterdir()) for name in ("a", "b")]
    for first, second in zip(*videos, strict=True):
        np.testing.assert_array_equal(decode(first), decode(second))
    # No clip of val is one of train.
    contents = [decode(path).tobytes() for path in videos[0]]
    assert len(set(contents)) == len(contents)


@pytest.mark.parametrize(("draw", "name"), [(draw_shape, "star"), (draw_motion, "fast_up")])
def test_decoded_frames_are_the_drawn_ones(tmp_path, draw, name):
    drawn = draw(name, rng(3))
    write_video(tmp_path / "clip.mp4", drawn, 12)
    decoded = decode(tmp_path / "clip.mp4")
    assert decoded.shape == drawn.shape
    error = np.abs(decoded.astype(int) - drawn)
    assert error.mean(axis=(1, 2, 3)).max() < 8  # colour at half resolution costs most of it
    # Nearest to its own drawn frame, not to a neighbour: none is lost or moved.
    distances = np.abs(decoded[:, None].astype(int) - drawn[None]).sum(axis=(2, 3, 4))
    assert (distances.argmin(axis=1) == np.arange(len(drawn))).all()


def test_shapes_of_one_scene_differ_where_the_shape_is():
    clips = {name: draw_shape(name, rng(5)).astype(int) for name in SHAPES}
    for name, clip in clips.items():
        # Not the background alone: a tenth of the picture changes over time, the most in the shape.
        changed = (np.abs(clip[0] - clip[-1]).max(axis=-1) > 40).mean()
        assert 0.02 < changed < 0.4, name
        others = [np.abs(clip - other).mean() for key, other in clips.items() if key != name]
        assert min(others) > 3, name


def test_every_motion_of_one_scene_shows_the_same_frames():
    clips = {name: draw_motion(name, rng(7)) for name in MOTIONS}
    sets = {name: sorted(frame.tobytes() for frame in clip) for name, clip in clips.items()}
    for name in MOTIONS:
        assert sets[name] == sets["slow_up"], name
    orders = {b"".join(frame.tobytes() for frame in clip) for clip in clips.values()}
    assert len(orders) == 4


def test_a_mirrored_motion_is_of_its_own_class():
    for name in MOTIONS:
        clip = draw_motion(name, rng(11)).astype(float)
        apart = np.exp(1j * disc_height(clip[:, :, ::-1])) - np.exp(1j * disc_height(clip))
        assert np.abs(apart).max() < 0.1  # of 2 pi for the frame's height, columns are sampled


def test_only_the_order_of_frames_tells_motions_apart():
    """Features averaged over a clip's frames, against the steps between neighbours."""
    unordered, ordered = [], []
    labels = np.arange(240) % 4
    for index, label in enumerate(labels):
        frames = draw_motion(MOTIONS[label], rng(index))[:, :, ::4]
        height = disc_height(frames)
        harmonics = np.exp(1j * height[:, None] * np.arange(1, 5))
        pixels = frames[:, ::16, ::4].reshape(len(frames), -1) / 255
        each = np.hstack([pixels, pixels**2, harmonics.real, harmonics.imag])
        # All frames, and the middles of three segments: what TSN averages over.
        unordered.append(np.hstack([each.mean(0), each[4::8].mean(0)]))
        turn = np.angle(np.exp(1j * np.diff(height)))
        ordered.append([turn.mean(), np.sin(turn).mean(), (turn > 0).mean(), np.abs(turn).mean()])
    half = slice(0, 120), slice(120, 240)
    chance, told = (
        classify(x[half[0]], labels[half[0]], x[half[1]], labels[half[1]])
        for x in (np.array(unordered), np.array(ordered))
    )
    assert chance < 0.37  # a quarter and three standard errors of 120 clips
    assert told > 0.98


def test_complete_data_are_left_alone(tmp_path, monkeypatch):
    root = tmp_path / "shapes"
    write_shapes(str(root), num_train=2, num_val=1)
    before = (root / "train.txt").stat().st_mtime_ns
    monkeypatch.setattr(shapes, "write_video", None)  # would fail if it were called
    write_shapes(str(root), num_train=2, num_val=1)
    assert (root / "train.txt").stat().st_mtime_ns == before


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "shapes").mkdir()
    write_shapes(str(tmp_path / "shapes"), num_train=1, num_val=1)
    assert (tmp_path / "shapes" / "train.txt").is_file()


def _write_and_look(root, queue):
    write_shapes(root, num_train=16, num_val=8)
    # A process that returns sees everything, whoever wrote it.
    lines = [line for s in ("train", "val") for line in (Path(root) / f"{s}.txt").open()]
    queue.put(sum((Path(root) / line.split()[0]).stat().st_size > 0 for line in lines))


def test_processes_that_start_together_write_once_and_all_see_it_whole(tmp_path, capfd):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    processes = [
        context.Process(target=_write_and_look, args=(str(tmp_path / "shapes"), queue))
        for _ in range(3)
    ]
    for process in processes:
        process.start()
    assert [queue.get(timeout=60) for _ in processes] == [24, 24, 24]
    for process in processes:
        process.join()
    assert capfd.readouterr().err.count("writing") == 1


def test_a_killed_run_leaves_nothing_that_looks_complete(tmp_path):
    root = tmp_path / "shapes"
    process = multiprocessing.get_context("fork").Process(
        target=write_shapes, args=(str(root), 200, 8)
    )
    process.start()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(list(tmp_path.rglob("*.mp4"))) < 5:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert not root.exists()
    assert list(tmp_path.rglob("*.mp4"))
    write_shapes(str(root), num_train=4, num_val=2)
    assert len(list(tmp_path.rglob("*.mp4"))) == 6
    assert len(list((root / "videos").iterdir())) == 6
