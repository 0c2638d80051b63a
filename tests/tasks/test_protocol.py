"""The line printed beside a score says what was done: it is compared with the views themselves."""

import re
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch

import vidrec
from vidrec import build
from vidrec.data.synthetic.shapes_ava import write_shapes_ava
from vidrec.data.video.writer import write_video
from vidrec.tasks import detection, recognition, task_of


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    """Overrides for two wide videos: crops at different places differ."""
    root = tmp_path_factory.mktemp("protocol")
    for name in "ab":
        write_video(root / f"{name}.mp4", np.zeros((40, 48, 96, 3), np.uint8), 8)
    for split in ("train", "val"):
        (root / f"{split}.txt").write_text("a.mp4 0\nb.mp4 1\n")
    return ["data=videos", "data.name=mine", f"data.root={root}", "data.num_classes=2"]


def line_of(conf, split="test"):
    dataset = build.build_dataset(conf.data, split)
    with torch.device("meta"):
        net = build.build_net(conf.model)
    return task_of(conf).protocol(dataset, net, len(dataset)), dataset


@pytest.mark.parametrize("views", ["ten_crop", "three_crop", "center_crop"])
@pytest.mark.parametrize("sampling", ["segments", "segments twice", "dense", "uniform"])
@pytest.mark.parametrize("model", ["tsn_tiny", "i3d_tiny"])
def test_clips_and_crops_are_those_of_the_samples(mine, model, sampling, views):
    overrides = [f"model={model}", *mine]
    overrides += [f"data/sampling={sampling.split()[0]}", f"data/views={views}"]
    if "twice" in sampling:
        overrides += [f"data.sampling.{part}.twice_sample=true" for part in ("val", "test")]
    conf = vidrec.compose(*overrides, "model.clip.frames=2", "model.clip.test_clips=3")
    for split in ("val", "test"):
        line, dataset = line_of(conf, split)
        counts = re.match(r"(\d+) clips? x (\d+) crops?, (\d+)", line).groups()
        clips, crops, frames = map(int, counts)
        sample = dataset[0]
        # Every frame of every view is one that some clip of some crop shows.
        if "crop" in sample:
            assert sample["frames"].size == clips * crops * frames
            assert len({tuple(crop) for crop in sample["crop"].tolist()}) == crops
            assert f"{sample['crop'][0, 2]} px" in line
        else:
            assert np.prod(sample["video"].shape[1:3]) == clips * frames
            assert crops == 1
            assert f"{sample['video'].shape[-2]} px" in line


@pytest.mark.parametrize("views", ["whole", "three_crop"])
def test_views_of_key_frames_are_those_of_the_samples(tmp_path, views):
    root = str(tmp_path / "shapes_ava")
    write_shapes_ava(root, num_train=1, num_val=1)
    overrides = ["model=slowonly_ava_tiny", f"data.root={root}", "data.prepare=null"]
    overrides += ["model.clip.test_size=64"] if views == "three_crop" else []
    overrides += [f"data/views={views}", "data.val.records.person_det_score_thr=0.7"]
    conf = vidrec.compose(*overrides)
    line, dataset = line_of(conf)
    count, frames = map(int, re.match(r"(\d+) views?, (\d+)x", line).groups())
    video = dataset[0]["video"]
    assert video.shape[1:3] == (count, frames)
    assert "person score >= 0.7" in line
    assert f"short side {min(video.shape[3:5])}" in line
    assert line.endswith(f"{len(dataset)} key frames")


def test_samples_that_were_not_scored_are_told(mine):
    conf = vidrec.compose("model=tsn_tiny", *mine)
    dataset = build.build_dataset(conf.data, "val")
    with torch.device("meta"):
        net = build.build_net(conf.model)
    assert task_of(conf).protocol(dataset, net, 1).endswith("1 of 2 videos")


def test_the_line_of_a_worked_example():
    views = SimpleNamespace(num_views=25, clip_len=1, frame_interval=1)
    crops = SimpleNamespace(num_crops=10, crop_size=224, short_side=256)
    dataset = MagicMock(sampling=views, transforms=crops)
    dataset.__len__.return_value = 19796
    net = SimpleNamespace(average_clips="prob")
    assert recognition.protocol(dataset, net, 19790) == (
        "25 clips x 10 crops, 1x1 frames, 224 px, short side 256, prob averaged, "
        "19,790 of 19,796 videos"
    )
    crops.num_crops, crops.crop_size, crops.short_side = 1, (96, 64), None
    views.num_views, views.frame_interval, net.average_clips = 1, None, None
    assert recognition.protocol(dataset, net, 19796) == (
        "1 clip x 1 crop, 1 frame, 96x64 px, 19,796 videos"
    )


def test_key_frames_without_a_proposal_are_told_beside_the_score():
    records = SimpleNamespace(person_score_threshold=0.9, num_whole_frames=11)
    sampling = SimpleNamespace(clip_len=8, frame_interval=8)
    transforms = SimpleNamespace(num_crops=1, short_side=256)
    dataset = MagicMock(records=records, sampling=sampling, transforms=transforms)
    dataset.__len__.return_value = 30
    line = detection.protocol(dataset, SimpleNamespace(), 30)
    assert line.endswith(" 30 key frames (11 without a proposal: their whole frame)")
    records.num_whole_frames = 0
    assert detection.protocol(dataset, SimpleNamespace(), 30).endswith(">= 0.9, 30 key frames")
