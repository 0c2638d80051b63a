"""Samples of small videos written here, whose frames are known by their grey level."""

import numpy as np
import pytest
import torch

from vidrec.data.clips.batch import cut_views
from vidrec.data.clips.collate import collate_clips
from vidrec.data.clips.dataset import VideoDataset
from vidrec.data.clips.records import Records
from vidrec.data.clips.sampling import SampleFrames
from vidrec.data.loader import EpochBatches, make_loader
from vidrec.data.transforms.geometric import CenterCrop, Flip, RandomCrop, TenCrop
from vidrec.data.video.decoder import Decoder, VideoError
from vidrec.data.video.pyav import VideoReader
from vidrec.data.video.writer import write_video

NUM_FRAMES = 20


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """a.mp4 and b.mp4: frame i has the grey level 10 i; broken.mp4 is not a video."""
    root = tmp_path_factory.mktemp("videos")
    levels = (np.arange(NUM_FRAMES) * 10).astype(np.uint8)
    frames = np.broadcast_to(levels[:, None, None, None], (NUM_FRAMES, 32, 48, 3))
    for name in ("a.mp4", "b.mp4"):
        write_video(root / name, np.ascontiguousarray(frames), 12)
    (root / "broken.mp4").write_bytes(b"not a video at all")
    return str(root)


def dataset(folder, steps, names=("a.mp4", "b.mp4"), labels=(3, 5), clips=4, **options):
    records = Records.pack(names, labels)
    sampling = SampleFrames(1, num_clips=clips, test_mode=True)
    return VideoDataset(records, VideoReader(), sampling, steps, 8, folder, **options)


def grey(video):
    """The frame numbers that a clip shows, by its grey levels."""
    return np.round(video.reshape(*video.shape[:-3], -1).mean(-1) / 10).astype(int)


def test_a_sample_shows_the_sampled_frames_with_its_label(folder):
    sample = dataset(folder, {"crop": CenterCrop(16)})[1]
    assert sample["video"].shape == (1, 1, 4, 16, 16, 3)
    # Middles of four segments of five frames, by hand.
    assert grey(sample["video"][0, 0]).tolist() == [2, 7, 12, 17]
    assert sample["label"].tolist() == [5]
    assert sample["index"].tolist() == [1]


def test_frames_per_view_divides_a_sample_into_views(folder):
    sample = dataset(folder, {"crop": CenterCrop(16)}, frames_per_view=2)[0]
    assert sample["video"].shape == (1, 2, 2, 16, 16, 3)
    assert grey(sample["video"][0]).tolist() == [[2, 7], [12, 17]]


def test_several_crops_travel_as_whole_frames_and_are_cut_later(folder):
    sample = dataset(folder, {"crop": TenCrop(16)})[0]
    assert sample["video"].shape == (4, 32, 48, 3)
    assert sample["frames"].shape == (10, 4)
    batch = collate_clips([sample])
    views = cut_views(batch, 0, 10)
    assert views.shape == (1, 10, 4, 16, 16, 3)
    assert grey(views[0].numpy()).tolist() == [[2, 7, 12, 17]] * 10


def test_repeated_frames_travel_once(folder):
    sample = dataset(folder, {"crop": TenCrop(16)}, clips=40)[0]
    assert len(sample["video"]) <= NUM_FRAMES
    shown = grey(sample["video"])[sample["frames"][0]]
    assert shown.tolist() == sorted(shown.tolist())
    assert len(shown) == 40


def test_copies_share_the_frames_and_differ_in_the_crop(folder):
    steps = {"crop": RandomCrop(16), "flip": Flip(0.5, flip_label_map={3: 4, 4: 3})}
    sample = dataset(folder, steps, copies=8)[0]
    assert sample["video"].shape == (8, 1, 4, 16, 16, 3)
    assert {3, 4} == set(sample["label"].tolist())
    assert collate_clips([sample])["video"].shape[0] == 8


class Anywhere:
    """Two frames from a random place on."""

    def __call__(self, num_frames, fps, rng):
        first = rng.integers(num_frames - 1)
        return np.array([[first, first + 1]])


@pytest.mark.parametrize("same_frames", [True, False])
def test_copies_show_the_same_frames_or_sample_their_own(folder, same_frames):
    data = dataset(folder, {"crop": CenterCrop(16)}, copies=6, same_frames=same_frames)
    data.sampling = Anywhere()
    shown = {tuple(grey(clip[0]).tolist()) for clip in data[0]["video"]}
    assert all(second == first + 1 for first, second in shown)
    assert (len(shown) == 1) == same_frames


def test_a_batch_of_videos_has_a_row_for_each_copy(folder):
    """As with RepeatAugDataset: the batch size counts videos, copies stand side by side."""
    data = dataset(folder, {"crop": CenterCrop(16)}, copies=2)
    batches = EpochBatches(2, 2, shuffle=False)
    loader = make_loader(
        data,
        batches,
        num_workers=0,
        persistent_workers=False,
        prefetch=2,
        pin_memory=False,
        collate=collate_clips,
    )
    (batch,) = loader
    assert batch["index"].tolist() == [0, 0, 1, 1]
    assert batch["label"].tolist() == [3, 3, 5, 5]
    assert len(batch["video"]) == 4


def test_flow_frames_are_stacked_into_channels_in_time_order(folder):
    class Flow(Decoder):
        """x of frame i is 10 i, y is 10 i + 1."""

        name, num_frames, fps, width, height, num_channels = "flow", 12, None, 4, 4, 2

        def _frames(self, wanted):
            return ((index, index) for index in wanted)

        def _cutter(self, plan):
            def write(index, out):
                out[:] = [10 * index, 10 * index + 1]

            return write

    class Reader:
        def open(self, path, num_frames, offset):
            return Flow()

    records = Records.pack(["x"], [0])
    sampling = SampleFrames(3, num_clips=2, test_mode=True)
    data = VideoDataset(records, Reader(), sampling, {}, 2, stack=3)
    video = data[0]["video"]
    assert video.shape == (1, 1, 2, 4, 4, 6)
    first = sampling(12, None, np.random.default_rng())[:, 0]
    for clip, start in zip(video[0, 0], first, strict=True):
        expected = [v for i in range(start, start + 3) for v in (10 * i, 10 * i + 1)]
        assert clip[0, 0].tolist() == expected


def test_a_sample_is_a_function_of_seed_epoch_and_index(folder):
    steps = {"crop": RandomCrop(8)}
    records = Records.pack(["a.mp4", "b.mp4"], [0, 1])
    sampling = SampleFrames(1, num_clips=3)
    data = VideoDataset(records, VideoReader(), sampling, steps, 2, folder, seed=1)
    again = VideoDataset(records, VideoReader(), sampling, steps, 2, folder, seed=1)
    again[3, 0]  # what was loaded before does not matter
    np.testing.assert_array_equal(data[5, 1]["video"], again[5, 1]["video"])
    shown = {tuple(grey(data[epoch, 1]["video"][0, 0])) for epoch in range(8)}
    assert len(shown) > 1


def test_multi_label_rows(folder):
    data = dataset(folder, {"crop": CenterCrop(16)}, labels=([1, 3], [0]))
    assert torch.equal(
        collate_clips([data[0], data[1]])["label"].nonzero()[:, 1], torch.tensor([1, 3, 0])
    )


def test_unreadable_video_is_raised_skipped_or_replaced_and_always_named(folder):
    names, labels = ("broken.mp4", "a.mp4", "b.mp4", "missing.mp4"), (0, 1, 2, 3)
    steps = {"crop": CenterCrop(16)}
    with pytest.raises(VideoError, match=r"broken\.mp4"):
        dataset(folder, steps, names, labels)[0]
    with pytest.raises(VideoError, match=r"missing\.mp4: the file does not exist"):
        dataset(folder, steps, names, labels)[3]
    skipped = dataset(folder, steps, names, labels, on_bad_video="skip")[3]
    assert skipped == {"bad_videos": [(f"{folder}/missing.mp4", "the file does not exist")]}
    replaced = dataset(folder, steps, names, labels, on_bad_video="replace")[0, 0]
    assert replaced["index"].item() in (1, 2)
    assert replaced["label"].item() == replaced["index"].item()
    assert replaced["bad_videos"][0][0].endswith("broken.mp4")


def test_storage_that_is_gone_is_not_replaced_for_ever(folder):
    data = dataset(folder, {}, ("x.mp4", "y.mp4"), (0, 1), on_bad_video="replace")
    with pytest.raises(VideoError, match="does not exist"):
        data[0]
