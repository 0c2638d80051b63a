"""The files of a list are looked for before a run: counted, named, and found in likely places."""

import shutil

import pytest

from tests.conftest import TINY
from tests.paths import ROOT
from vidrec import build
from vidrec.data.clips.missing_files import missing_rows
from vidrec.engine.distributed import Distributed


@pytest.fixture
def look(compose, tmp_path):
    """Writes a list for both splits and looks for its files, of `data=kinetics400`'s kind."""

    def look(paths, *overrides, labels=" 0"):
        for split in ("train", "val"):
            text = "".join(f"{path}{labels}\n" for path in paths)
            (tmp_path / f"{split}.txt").write_bytes(text.replace("\n", "\r\n").encode())
        conf = compose(
            "data=kinetics400",
            "data.num_classes=2",
            f"data.root={tmp_path}",
            "data.train.records.path=${data.root}/train.txt",
            "data.val.records.path=${data.root}/val.txt",
            "data.train.prefix=${data.root}/videos",
            "data.val.prefix=${data.root}/videos",
            *overrides,
        )
        datasets = {split: build.build_dataset(conf.data, split) for split in ("train", "val")}
        build.check_files(conf.data, datasets, conf.runtime, Distributed())
        return datasets["train"]

    return look


def create(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def test_missing_videos_are_counted_and_named_with_list_folder_and_keys(look, tmp_path):
    create(tmp_path / "videos", *(f"{i}.mp4" for i in range(62, 74)))
    with pytest.raises(FileNotFoundError) as raised:
        look([f"{i}.mp4" for i in range(74)])
    assert str(raised.value) == (
        f"62 of the 74 videos in {tmp_path}/train.txt are missing under {tmp_path}/videos "
        "(data.root, data.folder): 0.mp4, 1.mp4, 2.mp4, ...; repair the list, or skip them: "
        "data.on_bad_video=skip and data.max_bad_fraction"
    )


def test_a_list_beside_its_videos_in_the_working_directory(look, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"all 2 videos in \./train.txt are .* b\.mp4$"):
        look(["a.mp4", "b.mp4"], "data.root=.", "data.train.prefix=.", "data.val.prefix=.")


def test_what_is_there_passes_whatever_its_name(look, tmp_path):
    names = ["a b.mp4", "deep/er/c.mp4", "ü.mp4", "./d.mp4", "x 1/e.mp4"]
    create(tmp_path / "videos", *names)
    create(tmp_path, "elsewhere/abs.mp4")
    (tmp_path / "videos" / "link.mp4").symlink_to(tmp_path / "elsewhere" / "abs.mp4")
    look([*names, f"{tmp_path}/elsewhere/abs.mp4", "link.mp4"])


@pytest.mark.parametrize("count", [3, 50])  # looked up one by one, and by listing the folder
def test_exactly_the_missing_rows_are_found(look, tmp_path, count):
    names = [f"{i % 4}/{i}.mp4" for i in range(4 * count)]
    create(tmp_path / "videos", *names)
    dataset = look([*names, names[5]])
    assert missing_rows(dataset) == []
    gone = sorted({1, 5, 4 * count - 2})
    for row in gone:
        (tmp_path / "videos" / names[row]).unlink()
    (tmp_path / "videos" / names[5]).symlink_to("nowhere.mp4")
    (tmp_path / "videos" / names[2]).unlink()
    (tmp_path / "videos" / names[2]).mkdir()
    assert missing_rows(dataset) == sorted({*gone, 2, 4 * count})  # the last row is listed twice


def test_a_few_missing_files_are_a_warning_where_the_policy_tolerates_them(look, tmp_path, caplog):
    create(tmp_path / "videos", *(f"{i}.mp4" for i in range(9)))
    names = [f"{i}.mp4" for i in range(10)]
    look(names, "data.on_bad_video=skip", "data.max_bad_fraction=0.1")
    assert "1 of the 10 videos" in caplog.text
    for policy in (
        ["data.on_bad_video=skip", "data.max_bad_fraction=0.09"],
        ["data.max_bad_fraction=0.1"],
    ):
        with pytest.raises(FileNotFoundError, match="1 of the 10 videos"):
            look(names, *policy)
    look(names, "runtime.check_files=false")


def test_another_likely_place_is_named(look, tmp_path):
    def message(name, *overrides, **how):
        with pytest.raises(FileNotFoundError, match="all 1 ") as raised:
            look([name], *overrides, **how)
        shutil.rmtree(tmp_path)
        tmp_path.mkdir()
        return str(raised.value)

    create(tmp_path, "a.mp4")
    assert f"{tmp_path}/a.mp4 exists: set data.train.prefix={tmp_path}" in message("a.mp4")
    create(tmp_path, "train/c/a.mp4")
    assert f"set data.train.prefix={tmp_path}/train" in message("c/a.mp4")
    create(tmp_path, "videos/a.avi")
    assert f"{tmp_path}/videos/a.avi exists: the list has another" in message("a.mp4")
    create(tmp_path, "videos/c/a.mp4")
    assert f"{tmp_path}/videos/c/a.mp4 exists: list it as c/a.mp4" in message("/old/disk/c/a.mp4")
    create(tmp_path, "videos/a.mp4")
    assert f"data.train.prefix={tmp_path}" in message("videos/a.mp4")
    create(tmp_path, "videos/a/img_00001.jpg")
    assert "choose data/format=rawframes" in message("a")
    create(tmp_path, "videos/a.mp4")
    frames = message("a.mp4", "data/format=rawframes", labels=" 8 0")
    assert "all 1 folders of frames" in frames
    assert "choose data/format=videos" in frames
    assert f"{tmp_path}/videos does not exist" in message("a.mp4")


def test_a_reader_of_ones_own_is_not_looked_at(look, tmp_path):
    create(tmp_path, "videos/a.mp4")
    dataset = look(["a.mp4"])
    (tmp_path / "videos" / "a.mp4").unlink()
    assert missing_rows(dataset) == [0]
    dataset.reader = object()
    assert missing_rows(dataset) == []


def test_the_other_ranks_end_with_the_first(compose, tmp_path, monkeypatch):
    conf = compose("data=kinetics400", f"data.root={tmp_path}")
    second = Distributed(rank=1, world=2)
    monkeypatch.setattr(Distributed, "any", lambda self, flag: True)
    with pytest.raises(FileNotFoundError, match="rank 0 found"):
        build.check_files(conf.data, {"train": None}, conf.runtime, second)


@pytest.mark.slow
def test_training_says_it_at_once_and_no_check_leaves_it_to_the_workers(run, tmp_path):
    (tmp_path / "train.txt").write_text("a.mp4 0\n")
    (tmp_path / "val.txt").write_text("a.mp4 0\n")
    lists = ["data=mmit", "data.multi_label=false", f"data.root={tmp_path}", "data.num_classes=2"]
    lists += [f"data.{split}.records.path=${{data.root}}/{split}.txt" for split in ("train", "val")]
    command = [ROOT / "train.py", *TINY, *lists]
    command = [word for word in command if "data.prepare" not in str(word)]
    status, output = run(*command, cwd=tmp_path)
    assert status == 1
    assert f"all 1 videos in {tmp_path}/train.txt are missing" in output.splitlines()[-1]
    assert not (tmp_path / "runs").exists()
    status, output = run(*command, "--no-check", cwd=tmp_path)
    assert status == 1
    assert "videos in" not in output
    assert f"{tmp_path}/videos/a.mp4" in output


def test_a_root_that_does_not_exist_is_blamed_itself(compose, tmp_path):
    conf = compose("data=ucf101", f"data.root={tmp_path}/gone")
    with pytest.raises(FileNotFoundError) as raised:
        build.build_dataset(conf.data, "train")
    assert str(raised.value).startswith(f"data.root={tmp_path}/gone does not exist, ")
    conf = compose("data=ucf101", f"data.root={tmp_path}")
    with pytest.raises(FileNotFoundError, match=r"ucfTrainTestlist/classInd\.txt does not exist"):
        build.build_dataset(conf.data, "train")
