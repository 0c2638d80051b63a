"""Event files are read back with TensorBoard's own reader."""

import sys

import numpy as np
import pytest

from vidrec.tracking.dashboards import tensorboard

CONFIG = {"model": {"depth": 18}, "changes": {"schedule.epochs": "100 → 3"}}


@pytest.fixture(autouse=True)
def needs_tensorboard():
    pytest.importorskip("tensorboard")


def start(folder):
    folder.mkdir(exist_ok=True)
    board = tensorboard.start(folder, CONFIG, "model:\n  depth: 18\n", pytest.fail)
    assert board is not None
    return board


def read(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"), size_guidance={"images": 0})
    events.Reload()
    return events


def steps(events, name):
    return [(event.step, event.value) for event in events.Scalars(name)]


def test_scalars_media_configuration_and_hyperparameters(tmp_path):
    from matplotlib.image import imsave
    from PIL import Image

    from vidrec.data.video.writer import write_video

    imsave(tmp_path / "a.png", np.zeros((4, 6, 3)))
    write_video(tmp_path / "a.mp4", np.arange(0, 240, 60, np.uint8)[:, None, None, None]
                * np.ones((1, 32, 48, 3), np.uint8), frame_rate=8)  # fmt: skip
    board = start(tmp_path / "run")
    board.rewind(0, [], True)
    board.log({"epoch": 1, "step": 20, "train/loss": 0.5})
    board.log({"epoch": 1, "step": 20, "val/top1": 0.25})
    board.pictures("confusion", [tmp_path / "a.png"], [])
    board.video("clips", tmp_path / "a.mp4")
    board.finish(0)
    events = read(tmp_path / "run")
    assert steps(events, "train/loss") == [(20, 0.5)]
    assert steps(events, "val/top1") == [(20, 0.25)]
    picture, video = events.Images("confusion"), events.Images("clips")
    assert [(p.step, p.width, p.height) for p in picture] == [(20, 6, 4)]
    import io

    clip = Image.open(io.BytesIO(video[0].encoded_image_string))
    assert (clip.n_frames, clip.size, clip.info["duration"]) == (4, (48, 32), 120)
    text = {
        name: events.Tensors(f"{name}/text_summary")[0].tensor_proto.string_val[0].decode()
        for name in ("config", "changes")
    }
    assert "depth: 18" in text["config"]
    assert "| schedule.epochs | 100 → 3 |" in text["changes"]
    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    found = HParamsPluginData.FromString(content).session_start_info.hparams
    assert found["model.depth"].number_value == 18


def test_a_resumed_run_takes_the_place_of_the_steps_that_it_repeats(tmp_path):
    board = start(tmp_path)
    board.rewind(0, [], True)
    for step in (10, 20, 30):
        board.log({"epoch": 1, "step": step, "train/loss": float(step)})
    board.finish(1)
    again = start(tmp_path)
    again.rewind(10, [{"epoch": 1, "step": 10, "train/loss": 10.0}], True)
    for step in (20, 30, 40):
        again.log({"epoch": 1, "step": step, "train/loss": float(-step)})
    again.finish(0)
    expected = [(10, 10.0), (20, -20.0), (30, -30.0), (40, -40.0)]
    assert steps(read(tmp_path), "train/loss") == expected


def test_a_run_resumed_before_its_validation_keeps_the_row_of_the_last_step(tmp_path):
    board = start(tmp_path)
    row = {"epoch": 1, "step": 10, "train/loss": 1.0}
    board.log(row)
    board.log({"epoch": 1, "step": 10, "val/top1": 0.5})
    board.finish(1)
    again = start(tmp_path)
    again.rewind(10, [row], False)
    again.log({"epoch": 1, "step": 10, "val/top1": 0.5})
    again.finish(0)
    events = read(tmp_path)
    assert steps(events, "train/loss") == [(10, 1.0)]
    assert steps(events, "val/top1") == [(10, 0.5)]


def test_without_the_package_the_run_goes_on_and_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    said = []
    assert tensorboard.start(tmp_path, CONFIG, "", said.append) is None
    assert len(said) == 1
    assert "pip install 'vidrec[tensorboard]'" in said[0]
