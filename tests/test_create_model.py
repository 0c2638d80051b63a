"""`vidrec.create_model` and `list_models`."""

import pytest
import torch
import yaml

import vidrec
from tests.paths import ROOT

SMALL = ["model.net.backbone.num_stages=2", "model.net.cls_head.in_channels=128"]


def test_the_networks_of_recognition_are_listed():
    """The reference: what the files of conf/model say of themselves, and the list by hand."""
    names = vidrec.list_models()
    assert names == sorted(names)
    files = {path.stem: yaml.safe_load(path.read_text()) for path in ROOT.glob("conf/model/*.yaml")}
    not_listed = {name for name in files if name not in names}
    based_on = {"slowonly_ava", "slowfast_ava", "videomae_ava", "bmn", "bsn_pem", "bsn_tem"}
    assert based_on <= not_listed
    assert all(name in based_on or "_ava" in name for name in not_listed)
    assert vidrec.list_models("slowonly_r") == ["slowonly_r101"]
    assert vidrec.list_models("x3d?s") == ["x3d_s"]
    published = vidrec.list_models("tsn", pretrained=True)
    assert "tsn_imagenet-pretrained-r50_8xb32-1x1x3-100e_kinetics400-rgb" in published


def test_wrong_names_and_missing_weights_are_told():
    with pytest.raises(ValueError, match=r"no recognition model 'tsn_tinny'.*mean 'tsn_tiny'"):
        vidrec.create_model("tsn_tinny")
    with pytest.raises(ValueError, match=r"no recognition model 'bmn'.*vidrec\.build_model"):
        vidrec.create_model("bmn")
    with pytest.raises(ValueError, match=r"slowonly starts from random weights: pass weights="):
        vidrec.create_model("slowonly", "model.net.backbone.depth=18",
                            "model.net.cls_head.in_channels=512", pretrained=True)  # fmt: skip


def test_the_classes_are_those_asked_for_or_of_the_weights(tmp_path):
    net = vidrec.create_model("tsn_tiny", *SMALL, num_classes=0)
    assert net.training
    assert net(torch.zeros(2, 3, 3, 32, 32)).shape == (2, 128)
    conf = vidrec.compose("model=tsn_tiny", "data=shapes", *SMALL)
    about = vars(vidrec.api.describe_model(conf))
    torch.manual_seed(0)
    trained = vidrec.build_model(conf)
    torch.save({"net": trained.state_dict(), "about": about}, tmp_path / "best.pt")
    net = vidrec.create_model("tsn_tiny", *SMALL, weights=tmp_path / "best.pt")
    assert net.num_classes == conf.data.num_classes == 8
    assert net.config.weights == str(tmp_path / "best.pt")
    for name, tensor in trained.state_dict().items():
        assert torch.equal(net.state_dict()[name], tensor)
    # Another number of classes leaves the classifier random.
    other = vidrec.create_model("tsn_tiny", *SMALL, num_classes=3, weights=tmp_path / "best.pt")
    assert torch.equal(other.backbone.conv1.conv.weight, trained.backbone.conv1.conv.weight)


def test_a_recipe_has_its_own_classes():
    recipe = "tsn_imagenet-pretrained-r50_8xb32-1x1x8-50e_sthv2-rgb"
    net = vidrec.create_model(recipe, *SMALL[:1], "model.net.cls_head.in_channels=512")
    assert (net.num_classes, net.config.frames, net.config.name) == (174, 8, recipe)
