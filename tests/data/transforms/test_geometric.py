"""Geometry against figures computed with MMAction2 1.2.0, and against arrays cut by hand.

tests/golden/geometry.json.gz: output shapes, boxes and, where no pixel is interpolated, the CRC-32
of the output for frames made by numpy.random.RandomState(k).randint(0, 256, (h, w, 3)); candidate
boxes of MultiScaleCrop; statistics of 20,000 boxes of RandomResizedCrop.
"""

import json
import math
import zlib

import numpy as np
import pytest

from tests.paths import read_golden
from vidrec.data.transforms import geometric as transforms
from vidrec.data.transforms.geometric import (
    CenterCrop,
    Flip,
    MultiScaleCrop,
    RandomCrop,
    RandomRescale,
    RandomResizedCrop,
    Resize,
    TenCrop,
    ThreeCrop,
)
from vidrec.data.transforms.pipeline import Pipeline

GOLDEN = read_golden("geometry.json.gz")


def rng(seed=0):
    return np.random.default_rng(seed)


def pipeline(*steps):
    return Pipeline({f"step{i}": step for i, step in enumerate(steps)})


def cut(frames, plan):
    """The plan carried out by slicing, for plans that do not scale; views one after the other."""
    left, top, width, height = (round(value) for value in plan.box)
    assert (height, width) == plan.size, "this plan scales"
    frames = frames[:, top : top + height, left : left + width]
    frames = frames[:, :, ::-1] if plan.flip else frames
    frames = frames[:, ::-1] if plan.flip_vertical else frames
    if not plan.crops:
        return frames
    views = []
    for x, y, w, h, mirrored in plan.crops:
        view = frames[:, y : y + h, x : x + w]
        views.append(view[:, :, ::-1] if mirrored else view)
    return np.concatenate(views)


@pytest.mark.parametrize(
    "case", GOLDEN["cases"], ids=lambda case: f"{case['cfg']}-{case['hw']}".replace("'", "")
)
def test_geometry_is_that_of_the_reference(case):
    config = {k: v for k, v in case["cfg"].items() if k not in ("type", "interpolation")}
    kind = case["cfg"]["type"]
    height, width = case["hw"]
    plan = pipeline(getattr(transforms, kind)(**config)).plan(width, height, rng())
    if kind == "Resize":
        assert list(plan.size) == case["img_shape"]
        assert plan.box == pytest.approx((0, 0, width, height))
        return
    frames = np.stack(
        [
            np.random.RandomState(k).randint(0, 256, (height, width, 3), dtype=np.uint8)
            for k in range(case["n"])
        ]
    )
    result = np.ascontiguousarray(cut(frames, plan))
    assert list(result.shape) == case["out"]["shape"]
    assert zlib.crc32(result.tobytes()) == case["out"]["crc32"]


@pytest.mark.parametrize("key", GOLDEN["multi_scale_crop"])
def test_multi_scale_crop_chooses_among_the_published_boxes(key):
    size, input_size, scales, gap, fixed = key.split("|")
    height, width = map(int, size.split("x"))
    step = MultiScaleCrop(
        int(input_size),
        [float(scale) for scale in scales.strip("()").split(",") if scale],
        max_wh_scale_gap=int(gap.removeprefix("gap")),
        num_fixed_crops=int(fixed),
    )
    boxes = {
        (x, y, x + w, y + h)
        for w, h in step.sizes(width, height)
        for x, y in step.places(width - w, height - h)
    }
    assert boxes == {tuple(box) for box in GOLDEN["multi_scale_crop"][key]}
    drawn = set()
    for seed in range(300):
        left, top, w, h = pipeline(step).plan(width, height, rng(seed)).box
        drawn.add((left, top, left + w, top + h))
    assert drawn <= boxes
    assert len(drawn) > len(boxes) / 2


@pytest.mark.parametrize("key", GOLDEN["random_resized_crop"])
def test_random_resized_crop_has_the_published_distribution(key):
    published = GOLDEN["random_resized_crop"][key]
    size, area, ratio = key.split("|")
    height, width = map(int, size.split("x"))
    step = RandomResizedCrop(json.loads(f"[{area[1:-1]}]"), json.loads(f"[{ratio[1:-1]}]"))
    generator = rng(1)
    boxes = np.array([step.box(width, height, generator) for _ in range(4000)], dtype=float)
    corners = np.column_stack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])
    # Four standard errors of 4,000 boxes.
    tolerance = 4 * corners.std(axis=0) / math.sqrt(len(boxes)) + 0.5
    assert (np.abs(corners.mean(axis=0) - published["mean_box"]) < tolerance).all()
    areas = boxes[:, 2] * boxes[:, 3] / (width * height)
    assert areas.mean() == pytest.approx(published["mean_area_ratio"], abs=0.02)
    aspects = np.log(boxes[:, 2] / boxes[:, 3])
    assert aspects.std() == pytest.approx(published["std_log_aspect"], abs=0.01)


def test_resize_crop_resize_flip_is_one_box_of_the_source():
    """Resize 240x320 -> 256x341, the centre 224x224 of that, 112x112: worked out by hand."""
    steps = pipeline(Resize([-1, 256]), CenterCrop(224), Resize([112, 112], False), Flip(1.0))
    plan = steps.plan(320, 240, rng())
    x, y = 320 / 341, 240 / 256
    assert plan.size == (112, 112)
    assert plan.box == pytest.approx((58 * x, 16 * y, 224 * x, 224 * y))
    assert plan.flip


def test_a_crop_after_a_flip_is_a_crop_of_the_mirrored_picture():
    frames = rng().integers(0, 256, (1, 8, 10, 3), np.uint8)
    step = MultiScaleCrop(4, [0.5], num_fixed_crops=5)
    for seed in range(20):
        plan = pipeline(Flip(1.0), step).plan(10, 8, rng(seed))
        generator = rng(seed)
        generator.random()
        inner = pipeline(step).plan(10, 8, generator)
        np.testing.assert_array_equal(cut(frames, plan), cut(frames[:, :, ::-1], inner))


def test_boxes_drawn_by_the_reference_are_among_ours():
    """One random result of MMAction2 1.2.0 for each of two steps."""
    assert pipeline(RandomRescale([300, 300])).plan(320, 240, rng()).size == (300, 400)
    step = MultiScaleCrop(224, [1, 0.875, 0.75, 0.66], num_fixed_crops=13)
    assert (192, 192) in step.sizes(340, 256)
    assert (111, 48) in step.places(340 - 192, 256 - 192)


@pytest.mark.parametrize("direction", ["horizontal", "vertical"])
@pytest.mark.parametrize("views", [ThreeCrop([8, 8]), TenCrop(6)], ids=["three", "ten"])
def test_a_flip_after_views_mirrors_each_of_them(direction, views):
    frames = rng().integers(0, 256, (1, 8, 12, 3), np.uint8)
    plain = cut(frames, pipeline(views).plan(12, 8, rng()))
    flipped = cut(frames, pipeline(views, Flip(1.0, direction)).plan(12, 8, rng()))
    axis = 2 if direction == "horizontal" else 1
    np.testing.assert_array_equal(flipped, np.flip(plain, axis))


def test_views_of_a_mirrored_frame_are_cut_from_the_mirrored_picture():
    frames = rng().integers(0, 256, (1, 8, 13, 3), np.uint8)
    after = cut(frames, pipeline(Flip(1.0), TenCrop(6)).plan(13, 8, rng()))
    np.testing.assert_array_equal(
        after, cut(frames[:, :, ::-1], pipeline(TenCrop(6)).plan(13, 8, rng()))
    )


def test_any_chain_without_scaling_is_the_steps_done_one_by_one():
    """Crops and mirrors in random order, against slices of the array."""
    for seed in range(40):
        generator = rng(seed)
        steps, picture = [], rng(1).integers(0, 256, (1, 30, 40, 3), np.uint8)
        frames = picture
        for _ in range(4):
            height, width = picture.shape[1:3]
            if generator.random() < 0.5:
                axis = int(generator.integers(2))
                steps.append(Flip(1.0, ("vertical", "horizontal")[axis]))
                picture = np.flip(picture, axis + 1)
            else:
                h, w = int(generator.integers(1, height + 1)), int(generator.integers(1, width + 1))
                steps.append(CenterCrop([w, h]))
                top, left = (height - h) // 2, (width - w) // 2
                picture = picture[:, top : top + h, left : left + w]
        np.testing.assert_array_equal(cut(frames, pipeline(*steps).plan(40, 30, rng())), picture)


def test_a_crop_of_nearly_the_input_size_stays_inside_the_frame():
    step = MultiScaleCrop(224, [1, 0.875], random_crop=True)
    for width, height in ((300, 223), (223, 300), (223, 223), (225, 300)):
        for seed in range(20):
            left, top, w, h = pipeline(step).plan(width, height, rng(seed)).box
            assert left >= 0 <= top
            assert left + w <= width
            assert top + h <= height
    assert (224, 224) in step.sizes(225, 300)


def test_views_after_resizing_are_in_pixels_of_the_scaled_frame():
    plan = pipeline(Resize([-1, 256]), TenCrop(224)).plan(320, 240, rng())
    assert plan.size == (256, 341)
    assert plan.box == pytest.approx((0, 0, 320, 240))
    assert plan.crops[0] == (0, 0, 224, 224, 0)
    assert plan.crops[1] == (0, 0, 224, 224, 1)
    assert len(plan.crops) == 10


def test_random_crop_reaches_every_place_and_no_other():
    places = {pipeline(RandomCrop(3)).plan(5, 4, rng(seed)).box[:2] for seed in range(200)}
    assert places == {(x, y) for x in range(3) for y in range(2)}


def test_random_rescale_reaches_both_ends():
    sizes = {pipeline(RandomRescale([4, 6])).plan(20, 10, rng(s)).size for s in range(60)}
    assert sizes == {(4, 8), (5, 10), (6, 12)}


def test_flip_ratio_is_a_probability():
    flips = [pipeline(Flip(0.25)).plan(4, 4, rng(seed)).flip for seed in range(2000)]
    assert np.mean(flips) == pytest.approx(0.25, abs=0.04)


def test_a_mirrored_video_changes_its_class():
    steps = pipeline(Flip(1.0, flip_label_map={86: 87, 87: 86}))
    plan = steps.plan(4, 4, rng())
    assert steps.label(np.int64(86), plan) == 87
    assert steps.label(np.int64(3), plan) == 3
    many = np.zeros(100, np.float32)
    many[[86, 5]] = 1
    assert np.flatnonzero(steps.label(many, plan)).tolist() == [5, 87]
    one_way = pipeline(Flip(1.0, flip_label_map={5: 7}))
    assert np.flatnonzero(one_way.label(many, plan)).tolist() == [7, 86]
    unflipped = pipeline(Flip(0.0, flip_label_map={86: 87})).plan(4, 4, rng())
    assert steps.label(np.int64(86), unflipped) == 86


def test_the_plan_is_a_function_of_the_generator():
    steps = pipeline(RandomRescale([8, 16]), RandomResizedCrop(), Resize([8, 8], False), Flip())
    assert steps.plan(30, 20, rng(3)) == steps.plan(30, 20, rng(3))
    assert steps.plan(30, 20, rng(3)) != steps.plan(30, 20, rng(4))


@pytest.mark.parametrize(
    ("step", "parts"),
    [
        (lambda: CenterCrop(12), ["CenterCrop", "12x12", "10x8", "Resize"]),
        (lambda: TenCrop(12), ["TenCrop", "12x12", "10x8"]),
        (lambda: ThreeCrop(4), ["ThreeCrop", "4x4", "10x8"]),
        (lambda: Resize([0, 4]), ["Resize", "[0, 4]"]),
        (lambda: Resize(256), ["Resize", "256", "[-1, 256]"]),
        (lambda: Flip(1.5), ["flip_ratio=1.5"]),
        (lambda: MultiScaleCrop(4, num_fixed_crops=7), ["num_fixed_crops=7", "5 nor 13"]),
        (lambda: RandomResizedCrop([0.5, 0.1]), ["area_range"]),
        (lambda: 0.5, ["step0", "0.5"]),
    ],
)
def test_a_wrong_step_says_what_is_wrong(step, parts):
    with pytest.raises(ValueError) as raised:  # noqa: PT011  (the parts are checked below)
        pipeline(step()).plan(10, 8, rng())
    for part in parts:
        assert part in str(raised.value)
