import av
import numpy as np
import pytest

from tests.plots.pixels import has_colour, pixels
from vidrec.plots import clips
from vidrec.plots.clips import (
    BAR,
    HEIGHT,
    ClipSample,
    clip_sample,
    draw_predictions,
    load_samples,
    write_predictions,
)
from vidrec.plots.video_grid import FRAME_RATE


def test_predictions_show_right_in_green_and_wrong_in_red(tmp_path):
    frames = np.full((8, 30, 40, 3), 128, dtype=np.uint8)
    right = ClipSample(frames, "cat", "cat", 0.9, True)
    wrong = ClipSample(frames, "cat", "an owl that is called by a very long name", 0.4, False)
    draw_predictions([right] * 5, tmp_path / "right.png")
    draw_predictions([wrong], tmp_path / "wrong.png")
    green, red = (44, 140, 75), (192, 57, 43)
    for name, shown, hidden in (("right", green, red), ("wrong", red, green)):
        image = pixels(tmp_path / f"{name}.png")
        assert has_colour(image, *shown)
        assert not has_colour(image, *hidden)


def test_a_strip_shows_first_middle_and_last_frame():
    frames = (
        np.zeros((9, 4, 40, 3), dtype=np.uint8) + np.arange(9, dtype=np.uint8)[:, None, None, None]
    )
    strip = clips._strip(frames)
    assert strip.shape == (4, 3 * 40 + 2 * 2, 3)
    assert strip[0, [0, 42, 84], 0].tolist() == [0, 4, 8]
    assert clips._strip(frames[:1, ..., :2]).shape == (4, 40)


def test_a_sample_names_its_true_and_its_best_class():
    frames, names = np.zeros((1, 2, 2, 3), dtype=np.uint8), ["cat", "dog", "owl"]
    scores = np.array([0.1, 0.2, 0.7])
    one = clip_sample(frames, scores, np.int64(1), names)
    assert (one.truth, one.predicted, one.probability, one.correct) == ("dog", "owl", 0.7, False)
    several = clip_sample(frames, scores, np.array([1.0, 0.0, 1.0]), names)
    assert (several.truth, several.correct) == ("cat, owl", True)
    assert clip_sample(frames, scores, np.zeros(3), names).truth == "none"


def clip(grey, num_frames=2, width=40, channels=3):
    frames = np.full((num_frames, 40, width, channels), grey, np.uint8)
    return ClipSample(frames, "circle", "square", 0.75, False)


def test_clips_play_side_by_side_until_the_longest_is_over(tmp_path):
    samples = [clip(60), clip(160, num_frames=30, width=60), clip(250, channels=2)]
    write_predictions(samples, tmp_path / "p.mp4", columns=2)
    with av.open(str(tmp_path / "p.mp4")) as container:
        assert container.streams.video[0].average_rate == FRAME_RATE
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    width = round(HEIGHT * 1.5)
    assert (len(frames), frames[0].shape) == (30, (2 * (BAR + HEIGHT), 2 * width, 3))
    for frame in (frames[0], frames[-1]):
        middle = BAR + HEIGHT // 2
        found = [frame[middle, 20, 0], frame[middle, width + 20, 0], frame[2 * middle, 20, 0]]
        assert np.abs(np.array(found[:2], int) - (60, 160)).max() <= 3
        assert frame[BAR + HEIGHT + middle, 20].min() > 240
    assert frames[0][:BAR, :60].max() > 150  # there is text


def test_nothing_to_show_is_said(tmp_path):
    with pytest.raises(ValueError, match="no sample to show"):
        write_predictions([], tmp_path / "p.mp4")


class Dataset:
    """Clips of two views, each as grey as its row; row 5 cannot be read."""

    def __getitem__(self, row):
        if row == 5:
            return {"bad_videos": [("v", "cut off")]}
        return {"video": np.full((1, 2, 4, 8, 8, 3), row, np.uint8)}


def test_samples_are_spread_over_the_rows_and_keep_their_scores():
    index = np.arange(3, 24)  # rows of the dataset that were scored
    scores = np.zeros((21, 21))
    np.fill_diagonal(scores, 1)  # the class of each is its place
    names = [f"class {i}" for i in range(21)]
    rows = {"index": index, "scores": scores, "label": np.arange(21)}
    samples = load_samples(rows, Dataset(), names, count=11)
    assert [sample.frames[0, 0, 0, 0] for sample in samples] == [3, *range(7, 24, 2)]
    assert samples[0].frames.shape == (8, 8, 8, 3)
    assert [sample.predicted for sample in samples] == ["class 0", *names[4::2]]
    assert all(sample.correct for sample in samples)
