"""A file may be replaced if vidrec wrote it and nobody has changed it since."""

import os

import pytest

from vidrec.files.signature import refuse_others, sign, version_of


def test_only_signed_files_may_be_replaced(tmp_path):
    file = tmp_path / "model.pt2"
    refuse_others([file])  # there is none
    file.write_text("ours")
    sign(file)
    refuse_others([file])
    assert sorted(os.listdir(tmp_path)) == [".model.pt2.vidrec", "model.pt2"]

    file.write_text("edited by somebody")
    with pytest.raises(FileExistsError, match=rf"{file} exists, and vidrec did not write it or it"):
        refuse_others([file])
    sign(file)
    other = tmp_path / "other"
    other.write_text("edited by somebody")
    with pytest.raises(FileExistsError, match=r"other exists"):
        refuse_others([file, other])
    # Of the same size, put in its place.
    file.unlink()
    other.rename(file)
    with pytest.raises(FileExistsError, match=r"pt2 exists"):
        refuse_others([file])


def test_links_and_folders_are_somebody_elses(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder").mkdir()
    for name in ("link", "folder"):
        with pytest.raises(FileExistsError, match=name):
            refuse_others([tmp_path / name])


def test_a_version_is_another_one_after_a_change(tmp_path):
    assert version_of(tmp_path / "a") == ""
    (tmp_path / "a").write_text("1")
    first = version_of(tmp_path / "a")
    assert version_of(tmp_path / "a") == first
    (tmp_path / "a").write_text("12")
    second = version_of(tmp_path / "a")
    os.utime(tmp_path / "a", ns=(0, 5))
    assert len({first, second, version_of(tmp_path / "a")}) == 3
