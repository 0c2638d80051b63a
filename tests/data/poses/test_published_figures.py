"""Every step gives the figures of MMAction2 1.2.0 on key points drawn by a recipe.

tests/golden/pose.json.gz: its own output, as shape, dtype, crc32 of the bytes, sum, a weighted sum
and the first twelve numbers.
"""

import zlib

import numpy as np
import pytest

from tests.data.poses.layouts import COCO, NTU
from tests.paths import read_golden
from vidrec.data.clips.sampling import UniformSampleFrames
from vidrec.data.poses.features import GenSkeFeat
from vidrec.data.poses.frames import take_frames
from vidrec.data.poses.gcn_input import FormatGCNInput
from vidrec.data.poses.normalise import PreNormalize2D, PreNormalize3D
from vidrec.data.poses.spatial import PoseCompact, apply_plan
from vidrec.data.transforms.geometric import CenterCrop, Resize
from vidrec.data.transforms.pipeline import Pipeline

GOLDEN = read_golden("pose.json.gz")
SIZE = (240, 320)
RNG = np.random.default_rng(0)  # of steps that draw nothing


@pytest.fixture(scope="module")
def flat():
    """2D key points and scores: GOLDEN["recipe"]."""
    drawn = np.random.RandomState(0)
    keypoint = drawn.uniform(5, 200, (2, 60, 17, 2)).astype(np.float32)
    return keypoint, drawn.uniform(0.2, 1, (2, 60, 17)).astype(np.float32)


@pytest.fixture(scope="module")
def sampled(flat):
    frames = UniformSampleFrames(48, num_clips=2, test_mode=True)(60, None, RNG)
    assert frames.ravel().tolist() == GOLDEN["inds"]
    return take_frames(*flat, frames)


@pytest.fixture(scope="module")
def solid():
    """3D key points: GOLDEN["PreNormalize3D"]["recipe"]."""
    return np.random.RandomState(1).uniform(-1, 1, (2, 40, 25, 3)).astype(np.float32)


def assert_published(values: np.ndarray, name: str, tolerance: float = 1e-6) -> None:
    case = GOLDEN[name]
    assert list(values.shape) == case["shape"]
    first = values.ravel()[:12]
    np.testing.assert_allclose(first, case["first"], rtol=tolerance, atol=tolerance)
    flat = values.astype(np.float64).ravel()
    weights = np.arange(flat.size) % 1009
    magnitude = np.abs(flat).sum(), (np.abs(flat) * weights).sum()
    assert abs(flat.sum() - case["sum"]) <= tolerance * magnitude[0]
    assert abs((flat * weights).sum() - case["wsum"]) <= tolerance * magnitude[1]


def assert_identical(values: np.ndarray, name: str) -> None:
    assert_published(values, name)
    assert values.dtype == GOLDEN[name]["dtype"]
    assert zlib.crc32(np.ascontiguousarray(values).tobytes()) == GOLDEN[name]["crc32"]


def test_pixels_are_normalised_to_the_frame(flat):
    assert_identical(PreNormalize2D()(*flat, SIZE), "PreNormalize2D")


@pytest.mark.parametrize("feats", ["j", "b", "jm", "bm", "j_b_jm_bm"])
def test_features(flat, feats):
    keypoint, score = flat
    normalised = PreNormalize2D()(keypoint, score, SIZE)
    features = GenSkeFeat(COCO, feats.split("_"))(normalised, score)
    assert_identical(features, f"GenSkeFeat_{feats}")


def test_bodies_are_centred_and_turned(solid):
    normalised = PreNormalize3D()(solid)
    assert normalised.dtype == GOLDEN["PreNormalize3D"]["dtype"]
    # The reference takes the first angle from float32.
    assert_published(normalised, "PreNormalize3D", tolerance=1e-8)
    assert_published(GenSkeFeat(NTU, ["b"])(normalised), "GenSkeFeat3d_b")


def test_frames_of_the_sample(sampled):
    assert_identical(sampled[0], "PoseDecode")


def test_the_compact_box_then_the_steps_that_frames_take(sampled):
    keypoint, score = sampled
    compact, size = PoseCompact(hw_ratio=1.0, allow_imgpad=True)(keypoint, SIZE)
    assert_identical(compact, "PoseCompact")
    assert list(size) == GOLDEN["PoseCompact"]["img_shape"]

    steps = {"resize": Resize((-1, 64))}
    plan = Pipeline(steps).plan(width=size[1], height=size[0], rng=RNG)
    assert_published(apply_plan(plan, compact, score, COCO)[0], "Resize64")
    steps["crop"] = CenterCrop(64)
    plan = Pipeline(steps).plan(width=size[1], height=size[0], rng=RNG)
    assert_published(apply_plan(plan, compact, score, COCO)[0], "Center64")


def test_input_of_graph_networks(flat):
    assert_identical(FormatGCNInput(num_person=2)(*flat, num_clips=3), "FormatGCNInput")
