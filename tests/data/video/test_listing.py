from pathlib import Path

import pytest

from vidrec.data.video.listing import by_name, list_videos


def test_videos_behind_links_to_folders_are_found_once(tmp_path):
    for name in ("videos/deep/b.OGV", "videos/a.mts", "elsewhere/c.3gp", "videos/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "videos" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "videos" / "deep" / "circle").symlink_to(tmp_path / "videos")
    root, found = list_videos(str(tmp_path / "videos"))
    assert [str(p.relative_to(root)) for p in found] == ["a.mts", "deep/b.OGV", "link/c.3gp"]


@pytest.mark.parametrize("ending", ["ogv", "3gp", "ts", "mts", "m2ts", "gif", "flv", "wmv", "MP4"])
def test_usual_endings_are_those_of_videos(tmp_path, ending):
    path = tmp_path / f"clip.{ending}"
    path.touch()
    assert list_videos(str(path))[1] == [path]


def test_results_are_called_by_the_place_of_the_video_below_the_folder():
    paths = ["/x/a.b.mp4", "/x/deep/c.mp4", "/x/deep/../deep/c.mp4", "/x/../y/d.mp4", "/z/e.mp4"]
    named = by_name(Path("/x"), [Path(path) for path in paths])
    assert list(named) == ["a.b", "deep/c", "d", "e"]
    assert list(map(str, named.values())) == [paths[i] for i in (0, 1, 3, 4)]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a.mp4", "a.avi"),
        ("/y/a.mp4", "/z/a.mp4"),
        ("a.mp4", "../a.mp4"),
        ("deep/a.mp4", "deep/a.ts"),
    ],
)
def test_two_videos_of_one_name_are_told(first, second):
    with pytest.raises(ValueError, match=r"a\.\w+ and .*a\.\w+ would both be written as '.*a'"):
        by_name(Path("/x"), [Path("/x", first), Path("/x", second)])


def test_missing_videos_of_a_list_are_counted(tmp_path, caplog):
    (tmp_path / "a.mp4").touch()
    listed = tmp_path / "list.txt"
    listed.write_text("a.mp4\nb.mp4\nc.mp4\n")
    assert len(list_videos(str(listed))[1]) == 3
    assert f"2 of 3 listed videos are missing, such as {tmp_path}/b.mp4" in caplog.text
    (tmp_path / "a.mp4").unlink()
    with pytest.raises(FileNotFoundError, match="3 of 3 listed videos are missing"):
        list_videos(str(listed))
