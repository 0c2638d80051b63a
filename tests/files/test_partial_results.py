"""What an interrupted command has done is kept for the same command only, and nothing else goes."""

from vidrec.files.partial_results import delete_partial_results, open_partial_results


def test_results_are_of_the_same_settings_and_no_others_are_deleted(tmp_path, capsys):
    out = str(tmp_path / "results" / "out[1].npz")
    folder = open_partial_results(out, "model a")
    (folder / "0.npz").write_text("done")
    assert (open_partial_results(out, "model a") / "0.npz").read_text() == "done"
    assert capsys.readouterr().out == ""
    other = open_partial_results(out, "model b")
    assert list(other.iterdir()) == []
    assert capsys.readouterr().out.startswith(f"{folder} has results of an interrupted command")
    delete_partial_results(other)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert (folder / "0.npz").read_text() == "done"


def test_files_of_others_stay(tmp_path):
    folder = open_partial_results(str(tmp_path / "out.npz"), "model a")
    for name in ("0.npz", ".1.npz.0123456789ab.part", "notes.txt"):
        (folder / name).touch()
    delete_partial_results(folder)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
