"""Experiments of spatio-temporal detection have the published numbers.

tests/golden/detection_recipes.json.gz holds what the published configurations say (MMAction2 1.2.0,
configs/detection).
"""

import gzip
import json

import pytest
import torch

from tests.conf.recipes import (
    CLASSES,
    assert_same_arguments,
    assert_same_phases,
    composed,
    one_per_family,
    published_multipliers,
)
from tests.paths import GOLDEN
from vidrec import build

FIGURES = GOLDEN / "detection_recipes.json.gz"
RECIPES = json.loads(gzip.decompress(FIGURES.read_bytes()))
TRAINED = sorted(stem for stem in RECIPES if "optim" in RECIPES[stem])
ROI = "vidrec.models.heads"
# Published types -> our classes and the arguments named differently (None: it has none).
PARTS = {
    "SingleRoIExtractor3D": (f"{ROI}.roi_extractor.SingleRoIExtractor3D", {"roi_layer_type": None}),
    # The loss has the focal factors.
    "BBoxHeadAVA": (f"{ROI}.bbox_head.BBoxHead", {"focal_gamma": None, "focal_alpha": None}),
    "ACRNHead": (f"{ROI}.acrn.ACRNHead", {}),
    "MaxIoUAssignerAVA": ("vidrec.models.assigner.MaxIoUAssigner", {}),
    "RandomSampler": ("vidrec.models.assigner.RandomSampler", {}),
}
FBO = {"non_local": "FBONonLocal", "avg": "FBOAvg", "max": "FBOMax"}


def test_every_published_recipe_is_here():
    assert len(RECIPES) == 30


@pytest.mark.parametrize("stem", one_per_family(RECIPES))
def test_experiment_has_the_published_network(stem):
    conf, published = composed(f"experiment={stem}"), RECIPES[stem]
    net, head = conf.model.net, dict(published["roi_head"])
    assert net["_target_"] == "vidrec.models.detector.FastRCNN"
    backbone = dict(published["backbone"])
    backbone["type"] = backbone["type"].removeprefix("mmaction.")
    assert_same_arguments(net["backbone"], backbone, CLASSES["BACKBONES"])
    if "non_local_cfg" in published["backbone"]:
        rules = published["backbone"]["non_local_cfg"]
        for key in ("mode", "use_scale", "sub_sample"):
            assert net["backbone"][f"non_local_{key}"] == rules[key]
    ours = net["roi_head"]
    assert_same_arguments(ours["bbox_roi_extractor"], head["bbox_roi_extractor"], PARTS)
    assert_same_arguments(ours["bbox_head"], head["bbox_head"], PARTS)
    assert conf.data.num_classes == head["bbox_head"]["num_classes"]
    loss = conf.model.loss
    assert loss["focal_gamma"] == head["bbox_head"].get("focal_gamma", 0)
    assert loss["focal_alpha"] == head["bbox_head"].get("focal_alpha", 1)
    assert loss["multilabel"] == head["bbox_head"]["multilabel"]
    assert loss["background_class"] == head["bbox_head"]["background_class"]
    shared = dict(head.get("shared_head", {"type": "LFBInferHead"}))
    match shared.pop("type"):
        case "LFBInferHead":  # computes a bank and changes nothing
            assert ours.get("shared_head") is None
        case "FBOHead":
            options = shared["fbo_cfg"]
            fbo = ours["shared_head"]["fbo"]
            assert fbo["_target_"] == f"{ROI}.fbo.{FBO[options['type']]}"
            if options["type"] == "non_local":
                assert {k: v for k, v in fbo.items() if k != "_target_"} == {
                    k: v for k, v in options.items() if k != "type"
                }
            for bank in (conf.data.train["bank"], conf.data.val["bank"]):
                assert bank["window_size"] == shared["lfb_cfg"]["window_size"]
                most = shared["lfb_cfg"]["max_num_sampled_feat"]
                assert bank["max_num_sampled_feat"] == most
        case kind:
            assert_same_arguments(ours["shared_head"], {"type": kind} | shared, PARTS)
    rcnn = published["rcnn"]
    assert_same_arguments(net["assigner"], rcnn["assigner"], PARTS)
    assert_same_arguments(net["sampler"], rcnn["sampler"], PARTS)
    assert rcnn["pos_weight"] == 1  # the only weight that there is here
    assert (net["mean"], net["std"]) == (published["mean"], published["std"])
    assert conf.model.weights == published["url"]


@pytest.mark.parametrize("stem", one_per_family(TRAINED))
def test_experiment_has_the_published_schedule(stem):
    conf, published = composed(f"experiment={stem}"), RECIPES[stem]
    schedule, optim = conf.schedule, published["optim"]
    assert schedule.optimizer["_target_"] == f"torch.optim.{optim['optimizer']['type']}"
    for key in optim["optimizer"].keys() - {"type"}:
        assert schedule.optimizer[key] == optim["optimizer"][key], key
    assert schedule.clip_norm == optim["clip_grad"]["max_norm"]
    assert schedule.epochs == published["train_cfg"]["max_epochs"]
    assert schedule.val_interval == published["train_cfg"]["val_interval"]
    batch_size = published["train"]["batch_size"]
    assert schedule.batch_size == batch_size
    # Eight GPUs, as the names say.
    assert schedule.base_batch_size == (published["base_batch_size"] or 8 * batch_size)
    assert_same_phases(conf, published["schedule"])


@pytest.mark.parametrize("stem", one_per_family(TRAINED))
def test_experiment_has_the_published_rates(stem):
    conf, optim = composed(f"experiment={stem}"), RECIPES[stem]["optim"]
    with torch.device("meta"):
        net = build.build_net(conf.model)
    optimizer = build.build_optimizer(net, conf.schedule, world=1)
    rates = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    wanted, base = published_multipliers(net, optim), optim["optimizer"]
    for name, parameter in net.named_parameters():
        group = rates[id(parameter)]
        ours = (group["lr"] / base["lr"], group["weight_decay"] / base["weight_decay"])
        assert ours == pytest.approx(wanted[name]), name


@pytest.mark.parametrize("stem", one_per_family(RECIPES))
def test_experiment_has_the_published_data(stem):
    conf, published = composed(f"experiment={stem}"), RECIPES[stem]
    for split in ("train", "val"):
        expected = published.get(split) or (published["test"] if split == "val" else None)
        # What computes a bank runs on either split.
        if expected is None or (split == "val" and "train_" in expected["ann_file"]):
            continue
        node = getattr(conf.data, split)
        records = node["records"]
        for ours, theirs in (
            ("ann_file", "ann_file"),
            ("label_file", "label_file"),
            ("exclude_file", "exclude_file"),
            ("proposal_file", "proposal_file"),
        ):
            assert records[ours] == expected.get(theirs)
        assert node["prefix"] == expected["data_prefix"]["img"]
        assert records["person_det_score_thr"] == expected.get("person_det_score_thr", 0.9)
        assert records["num_max_proposals"] == expected.get("num_max_proposals", 1000)
        pipeline = {step["type"]: step for step in expected["pipeline"]}
        sample, sampling = pipeline["SampleAVAFrames"], node["sampling"]
        assert sampling["clip_len"] == sample["clip_len"]
        assert sampling["frame_interval"] == sample["frame_interval"]
        assert sampling["fps"] == expected.get("fps", 30)
        assert sampling.get("jitter", False) == (not sample.get("test_mode", False))
        steps = [(s["_target_"].rsplit(".", 1)[1], s) for s in node["steps"].values()]
        assert [name for name, _ in steps] == [
            name for name in pipeline if name in ("RandomRescale", "RandomCrop", "Flip", "Resize")
        ]
        for name, step in steps:
            for key, value in pipeline[name].items():
                assert key == "type" or step[key] == value
        if expected["type"] == "AVADataset" and expected.get("use_frames", True):
            assert node["reader"]["_target_"].endswith("FrameFolders")
            assert node["reader"]["timestamp_start"] == 900
            assert node["reader"]["start_index"] == 1
        elif expected["type"] == "AVADataset":
            assert node["reader"]["_target_"].endswith("NumberedFrames")
            assert node["reader"]["timestamp_start"] == expected["timestamp_start"]
    threshold = published.get("action_thr")
    assert conf.data.metric["score_threshold"] == (0.002 if threshold is None else threshold)
