"""What an interrupted command has done is kept for the same command only."""

from vidrec.files.partial_results import open_partial_results, partial_results_of


def test_results_stay_for_the_same_settings_and_go_for_others(tmp_path):
    out = str(tmp_path / "results" / "out.npz")
    folder = open_partial_results(out, "model a")
    assert folder == partial_results_of(out)
    (folder / "0.npz").write_text("done")
    assert (open_partial_results(out, "model a") / "0.npz").read_text() == "done"
    assert not (open_partial_results(out, "model b") / "0.npz").exists()
    (folder / "settings").unlink()  # of an unknown command
    (folder / "0.npz").write_text("done")
    assert not (open_partial_results(out, "model b") / "0.npz").exists()
