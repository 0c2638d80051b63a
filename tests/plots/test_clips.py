import av
import numpy as np
import pytest

from tests.plots.pixels import has_colour, kept_figures, pixels, texts
from vidrec.plots import clips
from vidrec.plots.clips import (
    BAR,
    HEIGHT,
    LEAST_WIDTH,
    ClipSample,
    clip_sample,
    draw_predictions,
    load_samples,
    write_predictions,
)
from vidrec.plots.video_grid import FRAME_RATE


def test_predictions_show_right_in_green_and_wrong_in_red(tmp_path):
    frames = np.full((8, 30, 40, 3), 128, dtype=np.uint8)
    right = ClipSample(frames, "a.mp4", "cat", "cat", 0.9, True)
    wrong = ClipSample(
        frames, "b.mp4", "cat", "an owl that is called by a very long name", 0.4, False
    )
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
    one = clip_sample(frames, "a.mp4", scores, np.int64(1), names)
    assert (one.truth, one.predicted, one.score, one.correct) == ("dog", "owl", 0.7, False)
    several = clip_sample(frames, "a.mp4", scores, np.array([1.0, 0.0, 1.0]), names)
    assert (several.truth, several.correct) == ("cat, owl", True)
    assert clip_sample(frames, "a.mp4", scores, np.zeros(3), names).truth == "none"


def clip(grey, num_frames=2, width=40, channels=3):
    frames = np.full((num_frames, 40, width, channels), grey, np.uint8)
    return ClipSample(frames, "a.mp4", "circle", "square", 0.75, False)


def test_clips_play_side_by_side_until_the_longest_is_over(tmp_path):
    samples = [clip(60), clip(160, num_frames=30, width=60), clip(250, channels=2)]
    write_predictions(samples, tmp_path / "p.mp4", columns=2)
    with av.open(str(tmp_path / "p.mp4")) as container:
        assert container.streams.video[0].average_rate == FRAME_RATE
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    width = LEAST_WIDTH  # that of the text, as the clips are narrower
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


def load(scores, label, names, count):
    """Of rows 3, 4, ... of the dataset, whose files are named after their row."""
    rows = {"index": np.arange(3, 3 + len(scores)), "scores": scores, "label": label}
    return load_samples(rows, Dataset(), names, lambda row: f"{row}.mp4", count)


def test_samples_are_spread_over_the_rows_and_keep_their_scores():
    scores = np.zeros((21, 21))
    np.fill_diagonal(scores, 1)  # the class of each is its place
    names = [f"class {i}" for i in range(21)]
    samples = load(scores, np.arange(21), names, count=11)
    assert [sample.frames[0, 0, 0, 0] for sample in samples] == [3, *range(7, 24, 2)]
    assert [sample.file for sample in samples] == ["3.mp4", *(f"{i}.mp4" for i in range(7, 24, 2))]
    assert samples[0].frames.shape == (8, 8, 8, 3)
    assert [sample.predicted for sample in samples] == ["class 0", *names[4::2]]
    assert all(sample.correct for sample in samples)


@pytest.mark.parametrize(("num_wrong", "shown"), [(1, 1), (4, 2), (6, 3), (7, 4)])
def test_wrong_samples_come_first_the_surest_of_them_at_most_half_if_others_are_right(
    num_wrong, shown
):
    scores = np.tile([0.9, 0.1], (7, 1))
    label = np.zeros(7, int)
    wrong = np.arange(7)[::-1][:num_wrong]  # rows 9, 8, ...: row 9 is the surest
    label[wrong] = 1
    scores[wrong, 0] = 0.8 - 0.02 * np.arange(num_wrong)
    samples = load(scores, label, ["cat", "dog"], count=4)
    assert [sample.correct for sample in samples] == sorted(s.correct for s in samples)
    files = [sample.file for sample in samples if not sample.correct]
    surest = [f"{i}.mp4" for i in range(9, 9 - shown, -1)]
    assert files == [file for file in surest if file != "5.mp4"]  # which cannot be read
    multi = np.eye(2)[label]
    again = load(scores, multi, ["cat", "dog"], count=4)
    assert [s.file for s in again] == [s.file for s in samples]


def test_a_sheet_says_of_which_file_what_is_predicted_and_true(tmp_path, monkeypatch):
    figures = kept_figures(monkeypatch, clips)
    frames = np.full((4, 90, 50, 3), 128, np.uint8)
    file = "a/folder/with/a/long/name/that/goes/on/and/on/clip_0001.mp4"
    sample = ClipSample(frames, file, "the $true$ one", "другой", 0.625, False)
    draw_predictions([sample] * 5, tmp_path / "p.png", "mine val, epoch 3 of 8")
    written = texts(figures[0])
    assert written.count("✗ 0.62 другой") == 5
    assert r"true: the \$true\$ one" in written
    assert any(text.startswith("…") and text.endswith("clip_0001.mp4") for text in written)
    assert "mine val, epoch 3 of 8" in written
    # Upright videos stay upright: three frames of 50 x 90 with two gaps.
    width, height = figures[0].axes[0].bbox.size
    assert height / width == pytest.approx(90 / (3 * 50 + 2 * 2))
