"""Heat maps show the frames, bright where the heat is."""

import av
import numpy as np

from tests.plots.pixels import kept_figures, pixels, texts
from vidrec.plots import heat_maps
from vidrec.plots.heat_maps import draw_heat_strip, overlaid, write_heat_video
from vidrec.plots.overlay import ScoreRow

FRAMES = np.full((5, 40, 60, 3), 120, np.uint8)
HEAT = np.zeros((5, 40, 60), np.float32)
HEAT[1, :20, 30:] = 1.0
HEAT[3, :20, 30:] = 0.5


def test_a_place_is_the_brighter_the_hotter_it_is():
    warm = overlaid(FRAMES, HEAT).mean(axis=-1)
    assert warm[1, 10, 40] > warm[3, 10, 40] > warm[0, 10, 40] == warm[1, 30, 10]
    assert warm.shape == (5, 40, 60)


def test_the_strip_has_the_share_of_each_frame(tmp_path, monkeypatch):
    figures = kept_figures(monkeypatch, heat_maps)
    draw_heat_strip(FRAMES, HEAT, tmp_path / "strip.png", "star $ 0.9", "clip.mp4")
    pixels(tmp_path / "strip.png")
    (figure,) = figures
    shares = [bar.get_height() for bar in figure.axes[-1].patches]
    np.testing.assert_allclose(shares, [0, 100 / 1.5, 0, 50 / 1.5, 0], atol=1e-4)
    assert {"frame 1", "frame 5", r"star \$ 0.9", "clip.mp4"} <= {*texts(figure)}


def test_a_long_clip_has_eight_frames_in_the_strip_and_heat_may_be_missing(tmp_path, monkeypatch):
    figures = kept_figures(monkeypatch, heat_maps)
    frames = np.repeat(FRAMES[:1], 64, axis=0)
    draw_heat_strip(frames, np.zeros((64, 40, 60), np.float32), tmp_path / "strip.png", "")
    assert len(figures[0].axes) == 2 * 8 + 1


def test_the_video_has_the_clip_beside_its_heat(tmp_path):
    write_heat_video(FRAMES, HEAT, [ScoreRow("腕" * 90, 0.5, 0.5)], tmp_path / "clip.mp4")
    with av.open(str(tmp_path / "clip.mp4")) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 5
    assert frames[0].shape == (360, 1080, 3)
    hot = frames[1][60:120, 700 + 200 :].mean()
    assert hot > frames[1][240:, 700 + 200 :].mean() + 40
