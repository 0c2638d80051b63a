"""Official lists in the forms in which they are downloaded, and the configurations for them."""

from pathlib import Path

import pytest
import yaml

from vidrec import build
from vidrec.config.compose import conf_dir
from vidrec.data.clips.official import read_hmdb51_splits, read_jester_list, read_ucf101_list
from vidrec.data.clips.records import Record


@pytest.fixture
def write(tmp_path):
    def write(content, name="list.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode())
        return str(path)

    return write


def test_official_ucf101_lists_count_from_one_or_not_at_all(write):
    classes = write("1 Archery\r\n2 YoYo\r\n", "classInd.txt")
    expected = [Record("YoYo/v_1.avi", 1, None, 0), Record("Archery/v_2.avi", 0, None, 0)]
    train = write("YoYo/v_1.avi 2\r\nArchery/v_2.avi 1\r\n", "trainlist01.txt")
    test = write("YoYo/v_1.avi\r\nArchery/v_2.avi\r\n", "testlist01.txt")
    for path in (train, test):
        records = read_ucf101_list(path, classes, num_classes=2)
        assert list(records) == expected
        assert records.class_names == ["Archery", "YoYo"]
    with pytest.raises(ValueError, match=r"classInd\.txt has 2 classes, but num_classes=3"):
        read_ucf101_list(train, classes, num_classes=3)
    with pytest.raises(ValueError, match=r"list\.txt:1: .*'YoYo' is 2 in .*classInd"):
        read_ucf101_list(write("YoYo/v_1.avi 1\n"), classes)
    with pytest.raises(ValueError, match=r"list\.txt:1: .*'Yoyo' is not a class of .*classInd"):
        read_ucf101_list(write("Yoyo/v_1.avi 1\n"), classes)


# A line of each kind in the official files, which end in a space.
CLAP = (
    "#20_Rhythm_clap_u_nm_np1_fr_goo_0.avi 1 \n"
    "Hand_Clapping_Game__Bim_Bum__clap_f_nm_np2_fr_med_1.avi 2 \n"
    "applauding_crowd_clap_u_cm_np1_fr_med_0.avi 0 \n"
)


@pytest.fixture
def hmdb51(write):
    write("a_brush_hair_u_nm_np1_ba_med_0.avi 2 \nb_brush_hair_u_nm_np1_ba_goo_1.avi 1 \n",
          "splits/brush_hair_test_split1.txt")  # fmt: skip
    write(CLAP, "splits/clap_test_split1.txt")
    write("other.avi 1 \n", "splits/clap_test_split2.txt")
    return str(write("", "readme.txt").replace("readme.txt", "splits"))


def test_the_numbers_of_hmdb51_say_train_test_or_neither(hmdb51):
    train = read_hmdb51_splits(hmdb51, fold=1, split="train", num_classes=2)
    assert [(r.path, r.label) for r in train] == [
        ("brush_hair/b_brush_hair_u_nm_np1_ba_goo_1.avi", 0),
        ("clap/#20_Rhythm_clap_u_nm_np1_fr_goo_0.avi", 1),
    ]
    assert train.class_names == ["brush_hair", "clap"]
    test = read_hmdb51_splits(hmdb51, fold=1, split="test")
    assert [(r.path, r.label) for r in test] == [
        ("brush_hair/a_brush_hair_u_nm_np1_ba_med_0.avi", 0),
        ("clap/Hand_Clapping_Game__Bim_Bum__clap_f_nm_np2_fr_med_1.avi", 1),
    ]


def test_wrong_splits_of_hmdb51_are_located(hmdb51, write):
    for fold, message in ((2, "splits has 1 classes, but num_classes=2"), (7, "_test_split7")):
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            read_hmdb51_splits(hmdb51, fold=fold, split="train", num_classes=2)
    with pytest.raises(FileNotFoundError, match="split is not a folder; did you mean 'splits'"):
        read_hmdb51_splits(hmdb51[:-1], fold=1, split="train")
    with pytest.raises(ValueError, match="split='val' is neither 'train' nor 'test'"):
        read_hmdb51_splits(hmdb51, fold=1, split="val")
    for line in ("a.avi 3", "a.avi", "1"):
        write(f"b.avi 1\n{line}\n", "splits/clap_test_split1.txt")
        with pytest.raises(ValueError, match=r"clap_test_split1\.txt:2: .*expected `video flag`"):
            read_hmdb51_splits(hmdb51, fold=1, split="train")


def test_jester_names_classes_and_folders_of_frames(write):
    classes = write("Swiping Left\nSwiping Right\n", "jester-v1-labels.csv")
    path = write("34870;Swiping Right\n56557;Swiping Left\n", "jester-v1-train.csv")
    records = read_jester_list(path, classes, num_classes=2)
    assert list(records) == [Record("34870", 1, None, 0), Record("56557", 0, None, 0)]
    assert records.class_names == ["Swiping Left", "Swiping Right"]
    for line, message in (("1;Swiping Lift", "did you mean 'Swiping Left'"), ("1", "`id;class`")):
        with pytest.raises(ValueError, match=rf"jester-v1-train\.csv:1: .*{message}"):
            read_jester_list(write(line, "jester-v1-train.csv"), classes)


# The files as they are unpacked -> paths and labels of the training and of the test part.
DOWNLOADED = {
    "ucf101": (
        {
            "ucfTrainTestlist/classInd.txt": "1 Archery\r\n2 YoYo\r\n",
            "ucfTrainTestlist/trainlist02.txt": "YoYo/v_YoYo_g01_c01.avi 2\r\n",
            "ucfTrainTestlist/testlist02.txt": "Archery/v_Archery_g08_c01.avi\r\n",
        },
        ("UCF-101/YoYo/v_YoYo_g01_c01.avi", 1),
        ("UCF-101/Archery/v_Archery_g08_c01.avi", 0),
    ),
    "hmdb51": (
        {
            "testTrainMulti_7030_splits/clap_test_split2.txt": "a.avi 1 \nb.avi 0 \n",
            "testTrainMulti_7030_splits/wave_test_split2.txt": "c.avi 2 \n",
        },
        ("hmdb51_org/clap/a.avi", 0),
        ("hmdb51_org/wave/c.avi", 1),
    ),
    "jester": (
        {
            "jester-v1-labels.csv": "Swiping Left\nSwiping Right\n",
            "jester-v1-train.csv": "34870;Swiping Right\n",
            "jester-v1-validation.csv": "9223;Swiping Left\n",
        },
        ("20bn-jester-v1/34870", 1),
        ("20bn-jester-v1/9223", 0),
    ),
}


@pytest.mark.parametrize("name", DOWNLOADED)
def test_configurations_read_the_files_as_downloaded(compose, write, tmp_path, name):
    files, *expected = DOWNLOADED[name]
    for file, content in files.items():
        write(content, file)
    fold = [] if name == "jester" else ["data.fold=2"]
    conf = compose(f"data={name}", "data.num_classes=2", f"data.root={tmp_path}", *fold)
    for split, (path, label) in zip(("train", "val"), expected, strict=True):
        dataset = build.build_dataset(conf.data, split)
        assert [r.label for r in dataset.records] == [label]
        assert dataset.path(0) == str(tmp_path / path)


# The first of the 27 classes in the order of jester-v1-labels.csv; mirroring changes no other.
GESTURES = [
    "Swiping Left", "Swiping Right", "Swiping Down", "Swiping Up", "Pushing Hand Away",
    "Pulling Hand In", "Sliding Two Fingers Left", "Sliding Two Fingers Right",
    "Sliding Two Fingers Down", "Sliding Two Fingers Up", "Pushing Two Fingers Away",
    "Pulling Two Fingers In", "Rolling Hand Forward", "Rolling Hand Backward",
    "Turning Hand Clockwise", "Turning Hand Counterclockwise",
]  # fmt: skip


def test_a_mirrored_gesture_is_that_of_the_other_side():
    sides = {"Left": "Right", "Clockwise": "Counterclockwise"}
    sides |= {right: left for left, right in sides.items()}
    expected = {}
    for label, name in enumerate(GESTURES):
        *words, side = name.split()
        if side in sides:
            expected[label] = GESTURES.index(" ".join([*words, sides[side]]))
    content = yaml.safe_load(Path(conf_dir(), "data", "jester.yaml").read_text())
    assert content["transforms"]["train"]["flip"]["flip_label_map"] == expected
