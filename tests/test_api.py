"""`vidrec.compose`, `build_model` and `load_model`."""

import subprocess
import sys

import numpy as np
import pytest
import torch

import vidrec
from vidrec.errors import ConfigError

SMALL = ["model=tsn_tiny", "model.net.backbone.num_stages=2", "model.net.cls_head.in_channels=128"]


def test_importing_takes_no_time_and_brings_no_torch():
    code = (
        "import sys, time; t = time.perf_counter(); import vidrec; t = time.perf_counter() - t;"
        "assert not {'torch', 'hydra', 'numpy'} & sys.modules.keys(); print(t)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_composing_checks_and_leaves_no_trace():
    conf = vidrec.compose(*SMALL, "data=folders", "data.root=/x", "data.num_classes=3")
    assert conf.model.net["cls_head"]["num_classes"] == 3
    with pytest.raises(ConfigError, match="did you mean 'epochs'"):
        vidrec.compose("schedule.epocs=3")
    with pytest.raises(ConfigError, match="did you mean 'tsm'"):
        vidrec.compose("model=tsm_")
    with pytest.raises(ConfigError, match="close every bracket"):
        vidrec.compose("model.net.mean=[1,2")
    # What fails before leaves nothing behind that a later call would see.
    assert vidrec.compose(*SMALL).data.name == "shapes"


def test_a_model_starts_as_it_is_built():
    conf = vidrec.compose(*SMALL)
    torch.manual_seed(0)
    first = vidrec.build_model(conf)
    torch.manual_seed(0)
    second = vidrec.build_model(conf)
    assert first.training
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.slow
def test_a_trained_model_knows_how_it_is_used(tiny_run):
    """From its run directory and from its file alone: the same scores, and all there is to know."""
    clips = np.random.default_rng(0).integers(0, 256, (2, 1, 3, 32, 32, 3), dtype=np.uint8)
    batch = {"video": torch.from_numpy(clips)}
    loaded = [vidrec.load_model(tiny_run), vidrec.load_model(tiny_run / "best.pt")]
    scores = [net.net.predict(batch)["scores"] for net in loaded]
    assert torch.equal(*scores)
    for net in loaded:
        assert not net.training
        assert net.description.task == "recognition"
        assert net.description.data == "shapes"
        assert net.description.class_names[:2] == ["circle", "square"]
        assert len(net.description.class_names) == scores[0].shape[1]
        assert net.description.clip["clips"] == 3
        assert "crop" in net.description.preprocessing["steps"]


@pytest.mark.slow
def test_a_file_of_a_stranger_calls_nothing_but_networks(tiny_run, tmp_path):
    content = torch.load(tiny_run / "best.pt", weights_only=True)
    for target in (
        "os.system",
        "vidrec.models.backbones.image.timm.create_model",
        "vidrec.build.os.system",
        "vidrec.models.backbones.image._timm",
    ):
        content["about"]["net"] = {"_target_": target, "command": f"touch {tmp_path / 'ran'}"}
        torch.save(content, tmp_path / "hostile.pt")
        with pytest.raises(ValueError, match="not one of the networks"):
            vidrec.load_model(tmp_path / "hostile.pt")
    assert not (tmp_path / "ran").exists()


def test_files_that_say_nothing_are_refused(tmp_path):
    torch.save({"state_dict": {"a": torch.zeros(1)}}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="does not describe its network"):
        vidrec.load_model(tmp_path / "other.pth")
    (tmp_path / "broken.pt").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(ValueError, match=r"broken\.pt is truncated or corrupt"):
        vidrec.load_model(tmp_path / "broken.pt")
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        vidrec.load_model(tmp_path / "gone.pt")
