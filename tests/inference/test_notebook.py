"""Predictions in notebooks: HTML that browsers read as it is meant, with pictures inside."""

import base64
import io
import sys
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from vidrec.data.video.writer import write_video
from vidrec.inference.prediction import KeyFrame, Moment, Person, Prediction, ScoredClass, Segment

NASTY = "<script>alert('1')</script> & \"x\""
BEST = [ScoredClass(0, NASTY, 0.75), ScoredClass(1, "跑", 0.25)]
FOUND = {
    "recognition": {"topk": BEST, "timeline": [Moment(0.0, 1.0, BEST)]},
    "detection": {"key_frames": [KeyFrame(0.5, [Person((0.1, 0.1, 0.6, 0.9), 0.9, BEST)])]},
    "localization": {"segments": [Segment(0.2, 1.5, 0.75, NASTY), Segment(1.0, 1.2, 0.5)]},
}


@pytest.fixture
def video(tmp_path):
    """Two seconds, each frame with a grey of its own."""
    frames = np.arange(20, 220, 10, np.uint8)[:, None, None, None]
    write_video(tmp_path / "clip.mp4", np.tile(frames, (1, 48, 64, 3)), 10)
    return str(tmp_path / "clip.mp4")


class Page(HTMLParser):
    """What a browser would see: tags, their pictures and the text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.pictures, self.text = set(), [], [], ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag == "img":
            data = dict(attrs)["src"].removeprefix("data:image/jpeg;base64,")
            self.pictures.append(np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))))
        else:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def page(task, video, **found):
    found = found or FOUND[task]
    return Page(Prediction(video, "runs/a/best.pt", task, "10 clips", **found)._repr_html_())


@pytest.mark.parametrize("task", FOUND)
def test_names_are_text_and_pictures_are_those_of_the_video(task, video):
    shown = page(task, video)
    assert NASTY in shown.text
    assert "script" not in shown.tags
    assert "clip.mp4" in shown.text
    levels = [picture[-5:].mean() for picture in shown.pictures]
    assert len(levels) == (1 if task == "detection" else 6)
    # From a tenth of the video to its end, in order; a key frame is that of its time.
    assert levels == sorted(levels)
    expected = [70] if task == "detection" else [20 + 10 * (20 * (i + 0.5) // 6) for i in range(6)]
    assert levels == pytest.approx(expected, abs=8)


@pytest.mark.parametrize("task", FOUND)
def test_without_the_video_there_is_still_a_table(task):
    shown = page(task, "gone/clip.mp4")
    assert not shown.pictures
    assert NASTY in shown.text
    assert "0.75" in shown.text


@pytest.mark.parametrize("task", FOUND)
def test_nothing_found_is_said(task, video):
    shown = page(task, video, duration=2.0)
    assert {"recognition": "no class", "detection": "no person", "localization": "no segment"}[
        task
    ] in shown.text


def test_boxes_are_drawn_into_key_frames(video):
    (picture,) = page("detection", video).pictures
    blue = picture[..., 2].astype(int) - picture[..., 0] > 60
    rows, columns = np.nonzero(blue[100:])  # below the text
    height, width = picture.shape[:2]
    assert columns.min() / width == pytest.approx(0.1, abs=0.03)
    assert columns.max() / width == pytest.approx(0.6, abs=0.03)
    assert (rows.max() + 100) / height == pytest.approx(0.9, abs=0.03)


def test_long_results_are_shortened():
    segments = [Segment(0.0, 1.0, 0.5, f"class {n}") for n in range(100)]
    shown = page("localization", "gone.mp4", segments=segments)
    assert shown.text.count("class ") == 12
    assert "and 88 more" in shown.text


def test_show_prints_in_a_terminal_and_displays_in_a_notebook(capsys, monkeypatch):
    prediction = Prediction("clip.mp4", "best.pt", "recognition", "10 clips", topk=BEST)
    prediction.show(top=1)
    printed = capsys.readouterr().out
    assert "0.750" in printed
    assert "0.250" not in printed
    displayed = []
    notebook = SimpleNamespace(
        get_ipython=lambda: SimpleNamespace(kernel=1),
        display=SimpleNamespace(display=displayed.append),
    )
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    prediction.show()
    assert displayed == [prediction]
    assert not capsys.readouterr().out
