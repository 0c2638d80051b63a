import av
import numpy as np
import pytest

from vidrec.plots.figures import Sample
from vidrec.plots.prediction_video import BAR, FRAME_RATE, HEIGHT, write_predictions


def clip(grey, num_frames=2, width=40, channels=3):
    frames = np.full((num_frames, 40, width, channels), grey, np.uint8)
    return Sample(frames, "circle", "square", 0.75, False)


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
