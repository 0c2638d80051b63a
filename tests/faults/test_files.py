"""Disks that are full or read-only, folders that are in use, videos that turn to garbage."""

import os
import shutil

import pytest

pytestmark = pytest.mark.slow
GARBAGE = "videos/train_0005_star.mp4"


def test_a_full_disk_is_named_and_the_run_continues_with_room(train, same):
    """Files may not grow past 256 KiB: checkpoints fail half-way."""
    full = train(file_limit=256 << 10)
    assert full.wait() == 1
    assert "Traceback" not in full.output
    assert full.said().startswith("error: run/last.pt could not be written: the disk is full")
    assert not list(full.folder.glob("*.pt*"))
    again = train()
    assert again.wait() == 0, again.output
    same(again)


def test_no_room_for_metrics_is_named(train, same):
    full = train(fault="full:metrics.jsonl")
    assert full.wait() == 1
    assert "Traceback" not in full.output
    assert full.said() == "error: run/metrics.jsonl could not be written: No space left on device"
    again = train()
    assert again.wait() == 0, again.output
    same(again)


def test_an_unwritable_run_directory_is_named(train, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o555)
    refused = train(folder=tmp_path / "locked" / "run", powerless=True)
    assert refused.wait() == 1
    assert "Traceback" not in refused.output
    assert f"{tmp_path}/locked/run" in refused.said()
    assert "hydra.run.dir" in refused.said()


def test_a_read_only_dataset_is_enough(train, same, videos, tmp_path):
    root = tmp_path / "shapes"
    shutil.copytree(videos, root)
    for folder, _, files in os.walk(root):
        for name in files:
            os.chmod(os.path.join(folder, name), 0o444)
        os.chmod(folder, 0o555)
    done = train(root=root, powerless=True)
    assert done.wait() == 0, done.output
    same(done)


def test_a_second_job_in_the_same_folder_is_refused_and_the_first_goes_on(train, same, tmp_path):
    first = train(fault="hold:2")
    first.wait_for("[1/8]")
    second = train()
    assert second.wait() == 1
    (tmp_path / "go").touch()
    assert "Traceback" not in second.output
    assert f"is in use by process {first.process.pid} on " in second.said()
    assert "hydra.run.dir" in second.said()
    assert first.wait() == 0, first.output
    same(first)


def test_a_video_that_turns_to_garbage_stops_the_run_until_it_is_back(
    train, same, videos, tmp_path
):
    root = tmp_path / "shapes"
    shutil.copytree(videos, root)
    broken = train(root=root, fault="hold:2")
    broken.wait_for("[1/8]")
    (root / GARBAGE).write_bytes(b"garbage")
    (tmp_path / "go").touch()
    assert broken.wait() == 1
    assert "Traceback" not in broken.output
    assert broken.said().startswith("error: ")
    assert GARBAGE in broken.said()
    shutil.copy(videos / GARBAGE, root / GARBAGE)
    again = train(root=root)
    assert again.wait() == 0, again.output
    same(again)


@pytest.mark.parametrize("way", ["skip", "replace"])
def test_a_video_that_turns_to_garbage_is_left_out_or_replaced(train, videos, tmp_path, way):
    root = tmp_path / "shapes"
    shutil.copytree(videos, root)
    options = [f"data.on_bad_video={way}", "data.max_bad_fraction=0.1"]
    done = train(*options, root=root, fault="hold:2")
    done.wait_for("[1/8]")
    (root / GARBAGE).write_bytes(b"garbage")
    (tmp_path / "go").touch()
    assert done.wait() == 0, done.output
    lines = [line for line in done.output.splitlines() if GARBAGE in line]
    assert len(lines) == 1
    assert "warning: unreadable video" in lines[0]
    assert [row["step"] for row in done.rows() if "train/loss" in row] == list(range(1, 9))


def test_more_garbage_than_allowed_ends_the_run(train, videos, tmp_path):
    root = tmp_path / "shapes"
    shutil.copytree(videos, root)
    (root / GARBAGE).write_bytes(b"garbage")
    broken = train("data.on_bad_video=skip", "data.max_bad_fraction=0.01", root=root)
    assert broken.wait() == 1
    assert "Traceback" not in broken.output
    assert "data.max_bad_fraction" in broken.said()
