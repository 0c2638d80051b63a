"""Lists with mistakes of a known number, against clean ones that nothing is said about."""

from types import SimpleNamespace

import pytest

from vidrec.data.clips.annotations import read_frame_list, read_video_list
from vidrec.data.clips.doubts import doubts_in, shared_videos


@pytest.fixture
def listed(tmp_path):
    def listed(text, prefix="videos", num_classes=2, read=read_video_list, **options):
        (tmp_path / "list.txt").write_text(text)
        records = read(str(tmp_path / "list.txt"), **options)
        return SimpleNamespace(records=records, prefix=prefix, num_classes=num_classes)

    return listed


def test_nothing_is_said_about_a_clean_list(listed):
    assert not list(doubts_in(listed("a.mp4 0\nb.mp4 1\nb.mp4 1\n"), "train"))
    assert shared_videos(listed("a.mp4 0\n"), listed("b.mp4 0\n")) == ([], 1)


def test_videos_of_both_splits_are_counted_however_they_are_written(listed):
    train = listed("a.mp4 0\nsub/b.mp4 1\nc.mp4 1\n#d.mp4 1\n")
    val = listed("./a.mp4 0\nsub//b.mp4 0\nsub/../#d.mp4 1\nA.mp4 0\na.mp4 1\n", "./videos/")
    assert shared_videos(train, val) == (["./a.mp4", "sub//b.mp4", "sub/../#d.mp4"], 4)
    # Names in other folders are other videos.
    assert shared_videos(train, listed("a.mp4 0\n", "other")) == ([], 1)
    assert shared_videos(train, listed("../videos/a.mp4 0\n", "other")) == (["../videos/a.mp4"], 1)


def test_other_frames_of_a_folder_are_another_sample(listed):
    options = {"read": read_frame_list, "with_offset": True}
    train = listed("a 0 30 0\na 30 30 1\n", **options)
    assert not list(doubts_in(train, "train"))
    assert shared_videos(train, listed("a 60 30 0\n", **options)) == ([], 1)
    assert shared_videos(train, listed("a 30 30 0\n", **options)) == (["a"], 1)


def test_a_video_with_two_labels_is_named_with_both(listed):
    text = "a.mp4 0\nb.mp4 1\na.mp4 1\n./b.mp4 0\nc.mp4 1\nc.mp4 1\n"
    dataset = listed(text)
    dataset.records.class_names = ["run", "sit"]
    [said] = doubts_in(dataset, "train")
    assert said.startswith("2 train videos are listed with different labels: ")
    assert "a.mp4 as run and sit" in said
    assert "b.mp4 as sit and run" in said
    several = listed("a.mp4 0 1\na.mp4 1 0\nb.mp4 0 1\nb.mp4 1\n", multi_label=True)
    [said] = doubts_in(several, "train")
    assert said.endswith("1 train videos are listed with different labels: b.mp4 as 0+1 and 1")


def test_classes_without_samples_are_counted(listed):
    [said] = doubts_in(listed("a.mp4 1\nb.mp4 2\n", num_classes=3), "train")
    assert said == "1 of 3 classes have no train samples: 0; labels count from 0"
    [said] = doubts_in(listed("a.mp4 0\n", num_classes=9), "val")
    assert said == "8 of 9 classes have no val samples: 1, 2, 3, ..."


def test_what_the_reader_left_out_is_passed_on(listed):
    [said] = doubts_in(listed("# two lines\na.mp4 0\n#\nb.mp4 1\n"), "train")
    assert said.endswith("list.txt: 2 lines are comments and left out, such as line 1")
