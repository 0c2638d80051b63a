"""A folder of example data is filled once; nothing that is there is ever changed."""

import pytest

from vidrec.data.synthetic.shapes import write_motions, write_shapes
from vidrec.data.synthetic.shapes_anet import write_shapes_anet
from vidrec.data.synthetic.shapes_ava import write_shapes_ava
from vidrec.files.write_once import write_once

WRITERS = [write_shapes, write_motions, write_shapes_anet, write_shapes_ava]


def fill(folder):
    (folder / "videos").mkdir()
    (folder / "videos" / "a.mp4").write_bytes(b"one")


def content(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("name", ["version", "mine.mp4", ".hidden"])
def test_a_folder_of_the_users_is_refused_and_left_as_it_is(tmp_path, writer, name):
    mine = tmp_path / "my"
    (mine / "sub").mkdir(parents=True)
    for file in (mine / name, mine / "sub" / "precious.mp4"):
        file.write_bytes(b"precious")
    before = content(tmp_path)
    with pytest.raises(ValueError, match=r"/my has files that are not .*set data\.root") as raised:
        writer(str(mine), 1, 1)
    assert any(found.name in str(raised.value) for found in mine.iterdir())
    assert before.items() <= content(tmp_path).items()
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["my"]


def test_another_version_or_size_is_refused_and_files_beside_the_data_stay(tmp_path):
    root = tmp_path / "shapes"
    write_once(str(root), "shapes v1", fill)
    (root / "mine.mp4").write_bytes(b"precious")
    before = content(root)
    write_once(str(root), "shapes v1", fill)  # the same: nothing to do
    with pytest.raises(ValueError, match=r"'shapes v1', not 'shapes v2'.*set data\.root") as raised:
        write_once(str(root), "shapes v2", fill)
    assert str(root) in str(raised.value)
    assert content(root) == before


def test_what_is_beside_the_folder_and_only_looks_like_ours_stays(tmp_path):
    beside = [tmp_path / ".shapes.part" / "mine.mp4", tmp_path / ".shapes.old" / "mine.mp4"]
    for file in beside:
        file.parent.mkdir()
        file.write_bytes(b"precious")
    (tmp_path / ".shapes.lock").write_bytes(b"precious")
    with pytest.raises(FileExistsError, match=r"\.shapes\.part"):
        write_once(str(tmp_path / "shapes"), "v1", fill)
    assert all(file.read_bytes() == b"precious" for file in beside)
    assert (tmp_path / ".shapes.lock").read_bytes() == b"precious"


def test_files_that_appear_while_the_data_are_written_stay(tmp_path):
    def fill_slowly(folder):
        fill(folder)
        (tmp_path / "shapes").mkdir()
        (tmp_path / "shapes" / "mine.mp4").write_bytes(b"precious")

    with pytest.raises(OSError, match="not empty"):
        write_once(str(tmp_path / "shapes"), "v1", fill_slowly)
    assert (tmp_path / "shapes" / "mine.mp4").read_bytes() == b"precious"


def test_a_link_to_an_empty_folder_is_filled_behind_the_link(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "shapes").symlink_to(tmp_path / "disk")
    write_once(str(tmp_path / "shapes"), "v1", fill)
    assert (tmp_path / "shapes").is_symlink()
    assert (tmp_path / "disk" / "videos" / "a.mp4").read_bytes() == b"one"
