"""A folder of results is of one command with one set of settings."""

import json

import pytest

from vidrec.files.output_folder import check_output_folder, locked, mark_output_folder


def test_other_settings_are_named(tmp_path):
    folder = tmp_path / "out"
    check_output_folder(folder, {"stride": "5", "weights": "a" * 64}, ["x.npz"])
    assert not folder.exists()
    mark_output_folder(folder, {"stride": "5", "weights": "a" * 64})
    (folder / "x.npz").touch()
    check_output_folder(folder, {"stride": "5", "weights": "a" * 64}, ["x.npz"])
    with pytest.raises(ValueError, match=r"out was made with other settings \(stride 5, not 7\);"):
        check_output_folder(folder, {"stride": "7", "weights": "a" * 64}, [])
    with pytest.raises(ValueError, match=r"\(crops None, not test, stride 5, not None, weights\)"):
        check_output_folder(folder, {"crops": "test", "weights": "b" * 64}, [])
    with locked(folder):
        assert json.loads((folder / ".vidrec.json").read_text())["stride"] == "5"


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_a_damaged_marker_is_named(tmp_path, text):
    (tmp_path / ".vidrec.json").write_text(text)
    with pytest.raises(ValueError, match=r"\.vidrec\.json"):
        check_output_folder(tmp_path, {}, [])


def test_a_file_of_somebody_else_is_refused_only_where_it_would_be_replaced(tmp_path):
    (tmp_path / "mine.npz").touch()
    check_output_folder(tmp_path, {}, ["other.npz"])
    with pytest.raises(FileExistsError, match=r"mine\.npz exists, and it was not written by this"):
        check_output_folder(tmp_path, {}, ["other.npz", "mine.npz"])


@pytest.mark.parametrize("name", ["../x.npz", "/x.npz", "link/x.npz", "deeper/../../x.npz"])
def test_names_do_not_lead_out_of_the_folder(tmp_path, name):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path)
    with pytest.raises(ValueError, match=r"is not within the output folder "):
        check_output_folder(folder, {}, ["deeper/y.npz", name])
