"""Collating and cutting views against arrays made by hand."""

import numpy as np
import torch

from vidrec.data.clips.batch import cut_views
from vidrec.data.clips.collate import collate_clips
from vidrec.data.collate import to_device


def clip(value, copies=1):
    return {
        "video": np.full((copies, 1, 2, 3, 4, 3), value, np.uint8),
        "label": np.full(copies, value, np.int64),
        "index": np.full(copies, 10 + value, np.int64),
    }


def test_each_sample_becomes_a_row_and_each_copy_too():
    batch = collate_clips([clip(1), clip(2, copies=2), clip(3)])
    assert batch["video"].shape == (4, 1, 2, 3, 4, 3)
    assert batch["video"][:, 0, 0, 0, 0, 0].tolist() == [1, 2, 2, 3]
    assert batch["label"].tolist() == [1, 2, 2, 3]
    assert batch["index"].tolist() == [11, 12, 12, 13]
    assert "bad_videos" not in batch


def test_skipped_samples_leave_only_their_names():
    batch = collate_clips([{"bad_videos": [("a.mp4", "empty")]}, clip(5)])
    assert batch["bad_videos"] == [("a.mp4", "empty")]
    assert batch["label"].tolist() == [5]
    assert collate_clips([{"bad_videos": [("a.mp4", "empty")]}]) == {
        "bad_videos": [("a.mp4", "empty")]
    }


def test_views_are_cut_from_videos_of_several_sizes():
    rng = np.random.default_rng(0)
    small, large = (rng.integers(0, 256, shape, np.uint8) for shape in ((2, 6, 7, 3), (3, 5, 9, 3)))
    frames = [np.array([[0, 1], [1, 1]]), np.array([[2, 0], [0, 1]])]
    crops = [
        np.array([[0, 0, 4, 5, 0], [3, 1, 4, 5, 1]]),
        np.array([[5, 0, 4, 5, 0], [0, 0, 4, 5, 0]]),
    ]
    samples = [
        {
            "video": video,
            "frames": rows,
            "crop": boxes,
            "label": np.zeros(1, np.int64),
            "index": np.zeros(1, np.int64),
        }
        for video, rows, boxes in zip((small, large), frames, crops, strict=True)
    ]
    views = cut_views(to_device(collate_clips(samples), torch.device("cpu")), 0, 2)
    assert views.shape == (2, 2, 2, 5, 4, 3)
    expected = small[[1, 1], 1:6, 3:7][:, :, ::-1]  # the mirrored view of the first sample
    np.testing.assert_array_equal(views[0, 1].numpy(), expected)
    np.testing.assert_array_equal(views[1, 0].numpy(), large[[2, 0], 0:5, 5:9])
    np.testing.assert_array_equal(
        cut_views(collate_clips(samples), 1, 2).numpy(), views[:, 1:2].numpy()
    )
