"""`vidrec explain` on a tiny trained network."""

import av
import numpy as np
import pytest
import torch
from PIL import Image

from vidrec.commands.explain import main
from vidrec.data.synthetic.shapes import draw_shape
from vidrec.data.video.writer import write_video
from vidrec.inference.explanation import Explainer
from vidrec.inference.network import Network
from vidrec.inference.options import Options
from vidrec.inference.recognition import RecognitionPredictor


@pytest.fixture
def video(tmp_path):
    write_video(tmp_path / "clip.mp4", draw_shape("star", np.random.default_rng(0)), 12)
    return str(tmp_path / "clip.mp4")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def printed(arguments, capsys):
    """What the command prints; the message if it ends with one."""
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as ended:
        return str(ended)
    return capsys.readouterr().out


@pytest.mark.slow
def test_a_video_and_a_picture_of_the_best_class_are_written(tiny_run, video, folder, capsys):
    text = printed([tiny_run, video], capsys)
    movie, strip = text.splitlines()[1:3]
    name = movie.removesuffix(".mp4").removeprefix("explained/clip.")
    assert f"clip.mp4: {name} 0." in text
    assert strip == f"explained/clip.{name}.png"
    with av.open(movie) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert frames[0].shape == (360, 720, 3)
    assert len(frames) > 1
    left, right = frames[0][200:, :360], frames[0][200:, 360:]  # the clip, and its heat beside it
    assert np.abs(left.astype(int) - right).mean() > 10
    assert Image.open(strip).width > 300
    assert printed([tiny_run, video], capsys) == text  # its own files are replaced


@pytest.mark.slow
def test_a_class_and_a_layer_are_chosen_by_name(tiny_run, video, folder, capsys):
    text = printed([tiny_run, video, "--label", "moon", "--layer", "layer1", "--out", "a"], capsys)
    assert "clip.mp4: moon 0." in text
    assert "backbone.layer1" in text
    assert (folder / "a" / "clip.moon.mp4").is_file()
    wrong = {
        ("--label", "mon"): "error: label=mon is no class of the network; did you mean 'moon'?",
        ("--layer", "layer7"): "error: layer=layer7 is no layer of the network; did you mean",
        ("--device", "tpu"): "error: --device tpu: expected auto, cpu or cuda",
        ("--out", "clip.mp4"): "error: clip.mp4 is a file, expected the name of a folder",
    }
    for option, message in wrong.items():
        assert message in printed([tiny_run, video, *option], capsys)
    assert "missing.mp4: the file does not exist" in printed([tiny_run, "missing.mp4"], capsys)


@pytest.mark.slow
def test_files_of_others_stay(tiny_run, video, folder, capsys):
    name = printed([tiny_run, video], capsys).splitlines()[1]
    other = folder / name
    other.write_bytes(b"mine")
    message = printed([tiny_run, video], capsys)
    assert f"{name} exists, and vidrec did not write it or it was changed since" in message
    assert other.read_bytes() == b"mine"


@pytest.mark.slow
def test_the_view_is_the_one_with_the_highest_logit_and_the_score_is_the_videos(tiny_run, video):
    from vidrec.api import load_model

    model = load_model(tiny_run)
    found = Explainer(Network(model.net, model.description, model.source))(video)
    prediction = model.predict(video)
    assert (found.name, found.score) == (prediction.label, pytest.approx(prediction.score))
    predictor = RecognitionPredictor(Network(model.net, model.description, model.source), Options())
    model.net.average_clips = "none"  # then `predict` returns the logits of every view
    views = model.net.predict(predictor.views(video)[1])["scores"][0, :, prediction.topk[0].label]
    assert (found.view, found.num_views) == (int(views.argmax()) + 1, len(views))
    with torch.no_grad():
        logits = model.net({"video": torch.from_numpy(found.frames[None, None])})["logits"][0, 0]
    assert float(logits[prediction.topk[0].label]) == pytest.approx(float(views.max()), abs=1e-4)
    assert found.mass.sum() == pytest.approx(1.0)
    assert found.heat.shape == found.frames.shape[:3]


def test_networks_of_other_tasks_are_refused(tmp_path):
    class Description:
        task = "detection"

    with pytest.raises(ValueError, match=r"best\.pt is for detection: maps are explained of"):
        Explainer(Network(None, Description(), "best.pt"))
