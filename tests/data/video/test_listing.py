import pytest

from vidrec.data.video.listing import list_videos


def test_videos_behind_links_to_folders_are_found_once(tmp_path):
    for name in ("videos/deep/b.OGV", "videos/a.mts", "elsewhere/c.3gp", "videos/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "videos" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "videos" / "deep" / "circle").symlink_to(tmp_path / "videos")
    root, found = list_videos(str(tmp_path / "videos"))
    assert [str(p.relative_to(root)) for p in found] == ["a.mts", "deep/b.OGV", "link/c.3gp"]


@pytest.mark.parametrize(
    "ending", "ogv 3gp ts mts m2ts gif mpg mpeg vob flv wmv webm mkv mov MP4".split()
)
def test_usual_endings_are_those_of_videos(tmp_path, ending):
    path = tmp_path / f"clip.{ending}"
    path.touch()
    assert list_videos(str(path))[1] == [path]
