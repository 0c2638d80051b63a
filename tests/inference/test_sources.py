"""Which videos the arguments of a prediction stand for."""

import os

import pytest

from vidrec.inference.sources import find_videos, is_live


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two videos and a picture, and a working directory above them."""
    for name in ("videos/b.mp4", "videos/deeper/a.AVI", "videos/poster.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\0\0")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_folders_give_their_videos_at_any_depth_and_each_video_counts_once(folder):
    found = find_videos(["videos/b.mp4", "videos", "./videos/b.mp4"])
    assert found.paths == ["videos/b.mp4", "videos/deeper/a.AVI"]
    assert found.names() == ["b", "deeper/a"]
    assert not found.problems


@pytest.mark.parametrize(
    "line",
    ["b.mp4", "b.mp4 3", "b.mp4 120 3", "b.mp4,3", "b.mp4\t-1", "  b.mp4  "],
)
def test_labels_in_lists_are_ignored(folder, line):
    (folder / "videos" / "list.txt").write_text(f"{line}\n\n")
    assert find_videos(["videos/list.txt"]).paths == ["videos/b.mp4"]
    assert find_videos(["-"], [f"videos/{line.strip()}\n"]).paths == ["videos/b.mp4"]


def test_a_name_that_ends_in_a_number_is_not_taken_for_a_label(folder):
    for name in ("clip", "clip 2"):
        (folder / name).write_bytes(b"\0")
    (folder / "list").write_text("clip 2\nclip 3\n")
    assert find_videos(["list"]).paths == ["clip 2", "clip"]


def test_a_video_without_a_suffix_is_no_list(folder):
    os.link("videos/b.mp4", "upload")
    assert find_videos(["upload"]).paths == ["upload"]
    (folder / "text.mp4").write_text("no video, as reading it will tell")
    assert find_videos(["text.mp4"]).paths == ["text.mp4"]


def test_each_source_without_videos_has_a_sentence_and_the_rest_counts(folder):
    (folder / "empty").mkdir()
    (folder / "frames").mkdir()
    (folder / "frames" / "img_00001.jpg").touch()
    (folder / "list.txt").write_text("videos/b.mp4\nvideos/c.mp4 2\n")
    (folder / "nothing.txt").write_text("videos/c.mp4\nvideos/d.mp4\n")
    (folder / "blank.txt").write_text("\n")
    os.mkfifo("pipe")
    sources = ["gone.mp4", "empty", "frames", "videos/poster.jpg", "list.txt", "nothing.txt"]
    found = find_videos([*sources, "blank.txt", "pipe", "-"])
    assert found.paths == ["frames", "videos/b.mp4"]
    found = found.without_frames()
    assert (found.paths, found.names()) == (["videos/b.mp4"], ["videos/b"])
    expected = [
        "gone.mp4 does not exist; there are: ",
        "empty holds no videos: none of its 0 files ends with .mp4",
        "videos/poster.jpg is an image, not a video",
        "list.txt: 1 of 2 lines name no file, such as 'videos/c.mp4 2'; paths are relative to the "
        "folder of the list",
        "nothing.txt: 2 of 2 lines name no file, such as 'videos/c.mp4', 'videos/d.mp4'; paths",
        "blank.txt is empty: expected the path of a video in each line",
        "pipe is a device or a pipe, not a file; write camera:0 for a camera",
        "standard input is empty",
        "frames holds images, but the network reads videos: join the frames",
    ]
    assert len(found.problems) == len(expected)
    for problem, start in zip(found.problems, expected, strict=True):
        assert problem.startswith(start)


def test_folders_of_frames_lie_at_any_depth(folder):
    for name in ("x/1.jpg", "x/2.jpg", "y/z/1.png"):
        path = folder / "frames" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = find_videos(["frames"])
    assert found.paths == ["frames/x", "frames/y/z"]
    assert found.names() == ["x", "y/z"]
    (folder / "list.txt").write_text("frames/x 2 0\nframes\n")
    listed = find_videos(["list.txt"])
    assert listed.paths == ["frames/x"]
    assert listed.problems[0].startswith("list.txt: 1 of 2 lines name no file, such as 'frames'")
    (problem,) = found.without_frames().problems
    assert problem.startswith("frames/x and 1 more holds images")


def test_results_of_two_videos_cannot_have_one_name(folder):
    (folder / "b.mp4").write_bytes(b"\0")
    found = find_videos(["b.mp4", "videos"])
    with pytest.raises(ValueError, match=r"b\.mp4 and videos/b\.mp4 would both be written as 'b'"):
        found.names()
    assert find_videos(["."]).names() == ["b", "videos/b", "videos/deeper/a"]


def test_addresses_and_cameras_are_no_paths():
    assert all(map(is_live, ["camera:0", "rtsp://host/1", "https://host/live.m3u8"]))
    assert not any(map(is_live, ["a.mp4", "a:b.mp4", "./camera:0", "C:/a.mp4"]))
