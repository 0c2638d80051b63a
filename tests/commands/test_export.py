"""Written programs, loaded again, give what the networks give, for any number of samples."""

from dataclasses import replace
from functools import cache

import pytest
import torch

from vidrec import build
from vidrec.commands.export import export_run, run_file

SMALL = {
    "tsn": ["model.net.backbone.depth=18", "model.net.cls_head.in_channels=512"],
    "tsm": ["model.net.backbone.depth=18", "model.net.cls_head.in_channels=512"],
    "slowonly": [
        "model.net.backbone.depth=18",
        "model.net.cls_head.in_channels=512",
        "model.clip.frames=4",
    ],
    "slowfast": [
        "model.net.backbone.slow_pathway.depth=18",
        "model.net.backbone.fast_pathway.depth=18",
        "model.net.cls_head.in_channels=576",
        "model.net.backbone.resample_rate=4",
        "model.net.backbone.speed_ratio=4",
        "model.clip.frames=4",
    ],
    "swin3d": [
        "model.net.backbone.arch={embed_dims: 8, depths: [1, 1, 2, 1], num_heads: [1, 1, 2, 2]}",
        "model.net.cls_head.in_channels=64",
        "model.clip.frames=4",
    ],
    "mvit": [
        "model.net.backbone.arch={embed_dims: 8, num_layers: 3, num_heads: 1, "
        "downscale_indices: [1]}",
        "model.net.backbone.spatial_size=32",
        "model.net.backbone.temporal_size=4",
        "model.net.cls_head.in_channels=16",
        "model.clip.frames=4",
    ],
    "videomae": [
        "model.net.backbone.embed_dims=24",
        "model.net.backbone.depth=2",
        "model.net.backbone.num_heads=2",
        "model.net.cls_head.in_channels=24",
        "model.clip.frames=4",
    ],
    "timesformer": [
        "model.net.backbone.embed_dims=24",
        "model.net.backbone.num_transformer_layers=2",
        "model.net.backbone.num_heads=2",
        "model.net.cls_head.in_channels=24",
        "model.clip.frames=4",
    ],
}


@pytest.fixture(scope="module")
def configured(compose):
    """`configured(model, *overrides)`: the configuration of the command for small clips."""

    @cache
    def configured(model, *overrides):
        test_clips = 8 if model in ("tsn", "tsm") else 1
        small = ["model.clip.size=32", f"model.clip.test_clips={test_clips}", *SMALL[model]]
        choice = [f"model={model}", "model.weights=null"]
        return compose(*choice, *small, *overrides, config_name="export")

    return configured


@pytest.mark.slow
@pytest.mark.parametrize("model", SMALL)
def test_a_program_gives_what_the_network_gives(configured, tmp_path, model):
    torch.manual_seed(0)
    conf = configured(model, f"out={tmp_path}/model.pt2")
    assert export_run(conf) < 1e-5
    video = torch.randint(0, 256, (5, 1, 8, 32, 32, 3), dtype=torch.uint8)
    if model not in ("tsn", "tsm"):
        video = video[:, :, :4]
    scores = run_file(tmp_path / "model.pt2", video)
    assert scores.shape == (5, conf.data.num_classes)
    torch.testing.assert_close(scores.sum(dim=1), torch.ones(5))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model", SMALL)
def test_onnx_gives_what_the_network_gives(configured, tmp_path, model):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    conf = configured(model, "format=onnx", f"out={tmp_path}/model.onnx")
    assert export_run(conf) < 1e-4


def test_a_trained_checkpoint_is_what_is_written(configured, tmp_path, capsys):
    overrides = ["output=logits", "views=2", f"out={tmp_path}/model.pt2"]
    conf = configured("tsn", *overrides, f"checkpoint={tmp_path}/best.pt")
    torch.manual_seed(7)
    net = build.build_net(conf.model).eval()
    torch.save({"net": net.state_dict()}, tmp_path / "best.pt")
    export_run(conf)
    assert "100.0 % of the backbone" in capsys.readouterr().out
    video = torch.randint(0, 256, (1, 2, 8, 32, 32, 3), dtype=torch.uint8)
    logits = run_file(tmp_path / "model.pt2", video)
    with torch.no_grad():
        torch.testing.assert_close(logits, net({"video": video})["logits"])


def test_what_is_missing_for_onnx_is_named(configured, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"onnx, onnxscript, onnxruntime: pip install"):
        export_run(configured("tsn", "format=onnx"))


@pytest.fixture
def untraced(monkeypatch):
    """Writes a file without a program in it."""
    monkeypatch.setattr("vidrec.commands.export.trace", lambda module, shape: None)
    monkeypatch.setattr("torch.export.save", lambda program, path: path.write_text("program"))


@pytest.mark.parametrize("wrong", [[0.0, 0.0], [None, 0.0], [None, float("nan")]])
def test_a_program_that_differs_is_an_error(configured, tmp_path, monkeypatch, untraced, wrong):
    """In one of the batches, too; no comparison with NaN is true."""
    fills = iter(wrong)
    monkeypatch.setattr(
        "vidrec.commands.export.Clips.forward", lambda _, video: video[:, 0, 0, 0, 0]
    )

    def run_file(path, video):
        fill = next(fills)
        return video[:, 0, 0, 0, 0] if fill is None else torch.full((len(video), 3), fill)

    monkeypatch.setattr("vidrec.commands.export.run_file", run_file)
    with pytest.raises(ValueError, match="do not use it"):
        export_run(replace(configured("tsn"), out=f"{tmp_path}/model.pt2"))


def test_no_other_file_is_replaced(configured, tmp_path, monkeypatch, untraced):
    out = tmp_path / "model.pt2"
    monkeypatch.setattr("vidrec.commands.export.largest_difference", lambda *_: 0.0)
    conf = replace(configured("tsn"), out=str(out))
    out.write_text("mine")
    with pytest.raises(FileExistsError, match=rf"{out} exists, and vidrec did not write it"):
        export_run(conf)
    assert out.read_text() == "mine"
    out.unlink()
    export_run(conf)
    export_run(conf)  # its own
    assert out.read_text() == "program"


def test_weights_that_are_missing_are_not_exported(configured, tmp_path):
    given = {"out": f"{tmp_path}/model.pt2", "checkpoint": f"{tmp_path}/net.pt"}
    conf = replace(configured("tsn"), **given)
    state = build.build_net(conf.model).state_dict()
    torch.save({k: v for k, v in state.items() if "cls_head" not in k}, tmp_path / "net.pt")
    with pytest.raises(ValueError, match=r"(?s)missing 2: .*missing weights would stay random"):
        export_run(conf)
    assert not (tmp_path / "model.pt2").exists()
