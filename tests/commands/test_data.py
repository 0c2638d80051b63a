"""Lists from official files: what is written, what is counted, and that training reads it."""

import json

import numpy as np
import pytest

from vidrec.commands.data import DATASETS, main

KINETICS = """label,youtube_id,time_start,time_end,split
"eating, slowly",aaaaaaaaaaa,5,15,{split}
abseiling,-bbbbbbbbbb,120,130,{split}
zumba,ccccccccccc,0,10,{split}
abseiling,ddddddddddd,7,17,{split}
"""


def create(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


@pytest.fixture
def kinetics(tmp_path):
    """The csv files and most of the clips, of each under another of the usual names."""
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "train.csv").write_text(KINETICS.format(split="train"))
    (tmp_path / "validate.csv").write_text(KINETICS.format(split="validate"))
    clips = ("abseiling/-bbbbbbbbbb_000120_000130.mp4", "x/ccccccccccc_000000_000010.webm")
    create(tmp_path / "videos_train", *clips, "eating, slowly/aaaaaaaaaaa.mkv")
    create(tmp_path / "videos_val", "ddddddddddd_000007_000017.mp4")
    return tmp_path


def test_kinetics_has_lists_of_the_clips_that_are_there_with_sorted_classes(kinetics, capsys):
    main(["list", "kinetics", "--root", str(kinetics)])
    assert (kinetics / "kinetics400_train_list_videos.txt").read_text().splitlines() == [
        "eating, slowly/aaaaaaaaaaa.mkv 1",
        "abseiling/-bbbbbbbbbb_000120_000130.mp4 0",
        "x/ccccccccccc_000000_000010.webm 2",
    ]
    assert (kinetics / "kinetics400_val_list_videos.txt").read_text() == (
        "ddddddddddd_000007_000017.mp4 0\n"
    )
    names = (kinetics / "kinetics400_classes.txt").read_text()
    assert names == "abseiling\neating, slowly\nzumba\n"
    output = capsys.readouterr().out
    assert "3 of 4 clips" in output
    assert "1 clips are not below" in output
    assert "ddddddddddd_000007_000017" in output
    assert "3 classes instead of 400" in output
    assert "train: 3 samples, all files are there" in output
    assert f"data=kinetics400 data.class_names={kinetics}/kinetics400_classes.txt" in output


def test_no_file_of_others_is_replaced_and_ones_own_is(kinetics, capsys):
    main(["list", "kinetics", "--root", str(kinetics)])
    create(kinetics / "videos_train", "ddddddddddd.mp4")
    main(["list", "kinetics", "--root", str(kinetics)])
    assert "4 of 4 clips" in capsys.readouterr().out
    (kinetics / "kinetics400_val_list_videos.txt").write_text("of the user")
    with pytest.raises(SystemExit, match="vidrec did not write it or it was changed"):
        main(["list", "kinetics", "--root", str(kinetics)])


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("validate.csv", KINETICS + "zmba,e,0,10,val\n", "'zmba', .* did you mean 'zumba'"),
        ("validate.csv", "youtube_id,time_start,time_end\n", "no column 'label'"),
        ("validate.csv", KINETICS + "a,b,c,d,e\n", r"validate\.csv:6: 'a,b,c,d,e'; expected label"),
    ],
)
def test_csv_files_that_cannot_be_right_are_named(kinetics, file, content, message):
    (kinetics / file).write_text(content)
    with pytest.raises(SystemExit, match=message):
        main(["list", "kinetics", "--root", str(kinetics)])


def test_something_something_has_lists_of_its_ids(tmp_path, capsys):
    labels = {f"Doing something {i:03d}": str(i) for i in range(174)}
    start = f"{tmp_path}/something-something-v2-"
    rows = [
        {"id": "7", "template": "Doing [something] 005"},
        {"id": "8", "template": "Doing [something] 173"},
    ]
    for name, content in {"labels": labels, "train": rows, "validation": rows[:1]}.items():
        with open(f"{start}{name}.json", "w") as file:
            json.dump(content, file)
    create(tmp_path / "videos", "7.webm")
    main(["list", "sthv2", "--root", str(tmp_path)])
    assert (tmp_path / "sthv2_train_list_videos.txt").read_text() == "7.webm 5\n"
    assert (tmp_path / "sthv2_val_list_videos.txt").read_text() == "7.webm 5\n"
    assert (tmp_path / "sthv2_classes.txt").read_text().splitlines()[173] == "Doing something 173"
    output = capsys.readouterr().out
    assert "1 of 2 clips" in output
    assert "8.webm" in output
    assert "val: 1 samples, all files are there" in output


@pytest.mark.parametrize("own", [True, False])
def test_activitynet_has_the_annotations_of_each_subset(tmp_path, capsys, own):
    def video(**more):
        return {"annotations": [{"segment": [1.0, 2.5], "label": "Surfing"}], **more}

    if own:
        database = {
            f"{letter:_<11}": video(duration=9.5, subset=subset)
            for letter, subset in zip("abc", ("training", "validation", "testing"), strict=True)
        }
        (tmp_path / "activity_net.v1-3.min.json").write_text(json.dumps({"database": database}))
    else:
        names = {f"v_{letter:_<11}": video(duration_second=9.5) for letter in "abc"}
        (tmp_path / "anet_anno_action.json").write_text(json.dumps(names))
        rows = zip(names, ("training", "validation", "testing"), strict=True)
        lines = [f"{name},{subset}" for name, subset in rows]
        (tmp_path / "video_info_new.csv").write_text("\n".join(["video,subset", *lines]))
    features = tmp_path / "activitynet_feature_cuhk" / "csv_mean_100"
    features.mkdir(parents=True)
    header = ",".join(f"f{i}" for i in range(400))
    for letter in "ab":
        path = features / f"v_{letter:_<11}.csv"
        np.savetxt(path, np.zeros((100, 400)), "%d", delimiter=",", header=header, comments="")
    main(["list", "activitynet", "--root", str(tmp_path)])
    for split, letter in (("train", "a"), ("val", "b")):
        (name,) = json.loads((tmp_path / f"anet_anno_{split}.json").read_text())
        assert name.removeprefix("v_") == f"{letter:_<11}"
    output = capsys.readouterr().out
    assert "val: 1 samples, all files are there" in output
    assert f"next: python train.py data=activitynet model=bmn data.root={tmp_path}" in output
    (features / "v_b__________.csv").unlink()
    with pytest.raises(SystemExit, match="1 of 1 annotated videos have no features"):
        main(["list", "activitynet", "--root", str(tmp_path)])


def test_ucf101_and_hmdb51_are_read_as_they_are(tmp_path, capsys):
    splits = tmp_path / "ucfTrainTestlist"
    splits.mkdir()
    names = [f"Class{i:03d}" for i in range(101)]
    lines = (f"{i + 1} {name}\n" for i, name in enumerate(names))
    (splits / "classInd.txt").write_text("".join(lines))
    (splits / "trainlist01.txt").write_text("Class004/v_g08_c01.avi 5\n")
    (splits / "testlist01.txt").write_text("Class006/v_g01_c02.avi\n")
    create(tmp_path / "UCF-101", "Class004/v_g08_c01.avi")
    with pytest.raises(SystemExit, match=r"all 1 videos in .*testlist01\.txt are missing"):
        main(["list", "ucf101", "--root", str(tmp_path)])
    create(tmp_path / "UCF-101", "Class006/v_g01_c02.avi")
    main(["list", "ucf101", "--root", str(tmp_path)])
    output = capsys.readouterr().out
    assert "data=ucf101 reads the official files themselves: nothing is written" in output
    assert "val: 1 samples, all files are there" in output
    splits = tmp_path / "testTrainMulti_7030_splits"
    splits.mkdir()
    for i in range(51):
        (splits / f"c{i:02d}_test_split1.txt").write_text("a b.avi 1\nd.avi 2\n")
    create(
        tmp_path / "hmdb51_org",
        *(f"c{i:02d}/{name}" for i in range(51) for name in ("a b.avi", "d.avi")),
    )
    main(["list", "hmdb51", "--root", str(tmp_path)])
    assert "train: 51 samples, all files are there" in capsys.readouterr().out


@pytest.mark.parametrize("name", DATASETS)
def test_a_folder_without_the_official_files_is_told_in_a_sentence(tmp_path, name):
    with pytest.raises(
        SystemExit, match=f"error: .*{tmp_path}.*(has no|does not exist|not a folder)"
    ):
        main(["list", name, "--root", str(tmp_path)])
    with pytest.raises(SystemExit, match="does not exist"):
        main(["list", name, "--root", str(tmp_path / "nope")])
