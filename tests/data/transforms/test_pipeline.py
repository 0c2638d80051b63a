"""The order of steps, and steps on pixels against torchvision."""

import numpy as np
import pytest
from torchvision.transforms import v2

from vidrec.data.transforms.geometric import (
    CenterCrop,
    Flip,
    GeometricStep,
    MultiScaleCrop,
    RandomCrop,
    RandomRescale,
    RandomResizedCrop,
    Resize,
    TenCrop,
    ThreeCrop,
)
from vidrec.data.transforms.photometric import ColorJitter
from vidrec.data.transforms.pipeline import Pipeline


def rng(seed=0):
    return np.random.default_rng(seed)


def pipeline(*steps):
    return Pipeline({f"step{i}": step for i, step in enumerate(steps)})


def test_only_a_flip_may_follow_a_step_that_cuts_views():
    with pytest.raises(ValueError, match=r"step1.*step0.*only a Flip"):
        pipeline(TenCrop(4), Resize([2, 2], False))
    with pytest.raises(ValueError, match=r"step1.*step0"):
        pipeline(TenCrop(4), ThreeCrop(4))


def test_a_step_that_is_null_was_dropped():
    steps = Pipeline({"resize": Resize([6, 5], False), "flip": None, "crop": CenterCrop(4)})
    assert list(steps.steps) == ["resize", "crop"]
    assert steps.plan(12, 10, rng()).box == pytest.approx((2, 0, 8, 8))


def test_hydra_builds_a_pipeline_from_named_steps():
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    config = """
    _target_: vidrec.data.transforms.pipeline.Pipeline
    steps:
      resize: {_target_: vidrec.data.transforms.geometric.Resize, scale: [-1, 20]}
      crop: {_target_: vidrec.data.transforms.geometric.RandomResizedCrop, area_range: [0.5, 1]}
      size: {_target_: vidrec.data.transforms.geometric.Resize, scale: [8, 8], keep_ratio: false}
      flip:
        _target_: vidrec.data.transforms.geometric.Flip
        flip_ratio: 1
        flip_label_map: {1: 2, 2: 1}
      colour: {_target_: vidrec.data.transforms.photometric.ColorJitter, hue: [0, 0.1]}
      erase: {_target_: torchvision.transforms.v2.RandomErasing}
    """
    for convert in ("none", "all"):
        steps = instantiate(OmegaConf.create(config), _convert_=convert)
        plan = steps.plan(40, 30, rng())
        assert plan.size == (8, 8)
        assert steps.label(np.int64(1), plan) == 2
        assert steps.finish(np.zeros((2, 8, 8, 3), np.uint8), rng()).shape == (2, 8, 8, 3)


def test_steps_on_pixels_come_after_the_geometric_ones_or_commute_with_them():
    frames = np.zeros((1, 8, 10, 3), np.uint8)
    early = pipeline(ColorJitter(), CenterCrop(4))
    assert early.plan(10, 8, rng()).size == (4, 4)
    with pytest.raises(ValueError, match=r"step1.*step0.*torchvision"):
        pipeline(v2.RandomRotation(10), CenterCrop(4))
    with pytest.raises(ValueError, match=r"step1.*step0.*views"):
        pipeline(TenCrop(4), v2.CenterCrop(4)).finish(frames, rng())
    assert pipeline(CenterCrop(6), v2.CenterCrop(4)).finish(frames, rng()).shape == (1, 4, 4, 3)


def test_color_jitter_is_torchvisions_and_one_draw_for_the_clip():
    import torch
    from torchvision.transforms.v2 import functional

    frames = np.repeat(rng().integers(0, 256, (1, 6, 6, 3), np.uint8), 3, axis=0)
    result = pipeline(ColorJitter([1.5, 1.5], 0, 0, 0)).finish(frames, rng())
    expected = functional.adjust_brightness(torch.from_numpy(frames).permute(0, 3, 1, 2), 1.5)
    np.testing.assert_array_equal(result, expected.permute(0, 2, 3, 1).numpy())
    result = pipeline(ColorJitter(0.4, 0.4, 0.4, 0.1)).finish(frames, rng())
    assert (result == result[:1]).all()
    assert (result != frames).any()
    assert (result == pipeline(ColorJitter(0.4, 0.4, 0.4, 0.1)).finish(frames, rng())).all()
    assert (ColorJitter()(frames, rng(1)) != frames).any()
    black = ColorJitter([0, 0], 0, 0, 0)(frames, rng())
    assert not black.any()
    with pytest.raises(ValueError, match="2 channels"):
        ColorJitter(0.4)(frames[..., :2], rng())


def test_any_torchvision_transform_is_a_step_and_follows_the_generator():
    import torch

    frames = rng().integers(0, 256, (2, 8, 8, 3), np.uint8)
    steps = pipeline(v2.RandomErasing(p=1.0))
    before = torch.get_rng_state()
    first, again = steps.finish(frames, rng(5)), steps.finish(frames, rng(5))
    assert (torch.get_rng_state() == before).all()
    np.testing.assert_array_equal(first, again)
    torch.rand(1)  # whatever else draws from torch's generator changes nothing
    np.testing.assert_array_equal(steps.finish(frames, rng(5)), first)
    assert (steps.finish(frames, rng(6)) != first).any()
    assert (first != frames).any()
    gray = pipeline(v2.RandomGrayscale(p=1.0)).finish(frames, rng())
    assert (gray[..., :1] == gray).all()
    with pytest.raises(ValueError, match="float32"):
        pipeline(v2.ToDtype(torch.float32)).finish(frames, rng())


SHORT = Resize([-1, 64])
KNOWN = {  # steps, and the short side of what is cropped, by hand; None: it differs between videos
    "nothing": ([], None),
    "short side": ([SHORT], 64),
    "short side twice": ([Resize([-1, 80]), SHORT], 64),
    "half of a short side": ([SHORT, Resize(0.5)], 32),
    "half": ([Resize(0.5)], None),
    "inside of a box": ([Resize([90, 64])], None),
    "a box": ([Resize([90, 64], False)], 64),
    "half of a box": ([Resize([90, 64], False), Resize(0.5)], 32),
    "random short side": ([RandomRescale([64, 80])], None),
    "no random short side": ([RandomRescale([64, 64])], 64),
    "centre": ([SHORT, CenterCrop(48)], 64),
    "centre of two numbers": ([SHORT, CenterCrop([56, 48])], 64),
    "centre and mirror": ([SHORT, CenterCrop(48), Flip(1.0)], 64),
    "random place": ([SHORT, RandomCrop([56, 48])], 64),
    "random area": ([SHORT, RandomResizedCrop()], 64),
    "random area, resized": ([SHORT, RandomResizedCrop(), Resize([48, 48], False)], 64),
    "scales": ([SHORT, MultiScaleCrop(48, (1, 0.8))], 64),
    "scales, resized": ([SHORT, MultiScaleCrop(48, (1, 0.8)), Resize([48, 48], False)], 64),
    "three": ([SHORT, ThreeCrop(64)], 64),
    "three and mirror": ([SHORT, ThreeCrop(64), Flip(1.0)], 64),
    "ten": ([SHORT, TenCrop([56, 48])], 64),
    "colours": ([SHORT, CenterCrop(48), ColorJitter()], 64),
    "torchvision": ([SHORT, CenterCrop(48), v2.CenterCrop(40)], 64),
}


@pytest.mark.parametrize(("steps", "short_side"), KNOWN.values(), ids=KNOWN)
def test_a_pipeline_says_how_many_views_of_which_size_it_cuts(steps, short_side):
    steps = pipeline(*steps)
    counts, sizes, generator = set(), set(), rng()
    for width, height in ((120, 90), (90, 120), (160, 90), (200, 200)):
        for _ in range(3):
            plan = steps.plan(width, height, generator)
            frames = steps.finish(np.zeros((1, *plan.size, 3), np.uint8), generator)
            views = [
                frames[0, top : top + h, left : left + w] for left, top, w, h, _ in plan.crops
            ] or [frames[0]]
            counts.add(len(views))
            sizes |= {(view.shape[1], view.shape[0]) for view in views}
    assert counts == {steps.num_crops}
    edges = sizes.pop() if len(sizes) == 1 else None
    assert steps.crop_size == (edges[0] if edges and edges[0] == edges[1] else edges)
    assert steps.short_side == short_side


def test_every_geometric_step_is_asked():
    """A step added to the module must be among those above."""
    asked = {type(step) for steps, _ in KNOWN.values() for step in steps}
    assert asked >= set(GeometricStep.__subclasses__())
