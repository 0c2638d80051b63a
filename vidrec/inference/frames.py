"""Frames as people have them -> clips as a recognition network takes them."""

from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vidrec.data.transforms.pipeline import Pipeline
from vidrec.data.video.array import ArrayDecoder
from vidrec.data.video.geometry import CropPlan
from vidrec.data.video.resample import cutting_steps
from vidrec.errors import did_you_mean
from vidrec.weights.description import ModelDescription

Frames = np.ndarray | Tensor | Sequence[np.ndarray]

LAYOUTS = ("THWC", "TCHW", "CTHW")  # of a clip; batches have N in front
_SLACK = 1e-3  # by which resampled floats may leave [0, 1]


class ClipShape(NamedTuple):
    """What a network sees at once. num_frames is what a test gives it if `any_number` is true."""

    num_frames: int
    any_number: bool
    channels: int


def clip_shape(description: ModelDescription) -> ClipShape:
    """The frames and channels of a view, as the checkpoint tells."""
    clip, reading = description.clip, description.preprocessing
    stack = int(reading.get("stack") or 1)
    is_flow = reading.get("reader", {}).get("modality") == "Flow"
    fixed = clip["frames_per_view"]
    sampled = clip["frames"] * clip["test_clips"] // stack
    return ClipShape(fixed or sampled, fixed is None, (2 if is_flow else 3) * stack)


def as_clips(frames: Frames, layout: str, channels: int) -> Tensor:
    """One clip or a batch of them as (N, T, H, W, C), uint8 or float32 from 0 to 255.

    frames: uint8 from 0 to 255, or float from 0 to 1. layout: the order of its axes, one of
    `LAYOUTS`; with or without N in front. Raises ValueError if they contradict each other.
    """
    video = _as_tensor(frames)
    order = layout.upper()
    clip_order = order.removeprefix("N")
    if clip_order not in LAYOUTS:
        known = [*LAYOUTS, *(f"N{name}" for name in LAYOUTS)]
        raise ValueError(f"layout={layout!r} is not one; {did_you_mean(order, known)}")
    if video.ndim not in (4, 5) or (order != clip_order and video.ndim == 4):
        expected = f"5 axes, {order}" if order != clip_order else f"4 axes, {order}, or 5, N{order}"
        raise ValueError(f"frames of shape {tuple(video.shape)} are not of {expected}")
    if 0 in video.shape:
        raise ValueError(f"frames of shape {tuple(video.shape)} are empty")
    if video.ndim == 4:
        video = video[None]
    given = video.shape[1 + clip_order.index("C")]
    if given != channels:
        raise ValueError(_wrong_channels(video, clip_order, given, channels))
    axes = [0, *(1 + clip_order.index(axis) for axis in "THWC")]
    return _on_scale(video).permute(axes).contiguous()


def prepare_clips(clips: Tensor, transforms: Pipeline, shape: ClipShape) -> Tensor:
    """The frames of a view, scaled and cut as its central crop in a test, (N, T, h, w, C).

    clips: (N, T, H, W, 3), as `as_clips` returns it. Of more frames than the view has, those in the
    middle of equal parts are taken. uint8 is scaled on the CPU and rounded, as the decoder does;
    float32 keeps its device, its fractions and its gradient.
    """
    num_frames = clips.shape[1]
    if num_frames < shape.num_frames and not shape.any_number:
        raise ValueError(
            f"clips of {num_frames} frames are shorter than the {shape.num_frames} frames that the "
            "network sees at once: pass at least as many"
        )
    if num_frames > shape.num_frames:
        middles = (np.arange(shape.num_frames) + 0.5) * num_frames / shape.num_frames
        clips = clips[:, torch.from_numpy(middles.astype(np.int64)).to(clips.device)]
    rng = np.random.default_rng(0)  # unused: nothing is random in evaluation
    plan = transforms.plan(clips.shape[3], clips.shape[2], rng)
    if clips.dtype == torch.uint8:
        every = range(clips.shape[1])
        samples = [ArrayDecoder(clip).read(every, plan) for clip in clips.cpu().numpy()]
        finished = np.stack([transforms.finish(sample, rng) for sample in samples])
        video = torch.from_numpy(finished).to(clips.device)
    elif transforms.pixels:
        raise ValueError(
            f"the test of this network changes pixels ({', '.join(transforms.pixels)}), which "
            "needs uint8 frames: pass those, or prepared ones with prepare=False"
        )
    else:
        video = _cut(clips, plan)
    if not plan.crops:
        return video
    left, top, width, height, _ = plan.central_crop
    return video[:, :, top : top + height, left : left + width]


def check_number(num_frames: int, shape: ClipShape) -> None:
    """Raise ValueError if the network does not take prepared clips of so many frames."""
    if num_frames != shape.num_frames and not shape.any_number:
        raise ValueError(
            f"clips of {num_frames} frames, but the network sees {shape.num_frames} at once: pass "
            "as many, or more with prepare=True, which samples them evenly"
        )


def _as_tensor(frames: Frames) -> Tensor:
    if isinstance(frames, Tensor):
        return frames
    try:
        array = np.asarray(frames)
    except ValueError:
        raise ValueError("frames of a list differ in size, or are no arrays") from None
    # Mirrored axes (BGR to RGB) and memory that is not writable are copied: torch takes neither.
    if array.dtype.kind not in "uif" or not array.dtype.isnative:
        raise ValueError(f"frames are {array.dtype}: pass uint8, or float from 0 to 1")
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))


def _on_scale(video: Tensor) -> Tensor:
    """uint8 as it is, float from 0 to 1 as float32 from 0 to 255."""
    if video.dtype == torch.uint8:
        return video
    if not video.is_floating_point():
        raise ValueError(
            f"frames are {video.dtype}: pass uint8 from 0 to 255, or float from 0 to 1"
        )
    low, high = (value.item() for value in video.detach().aminmax())
    if not (low >= -_SLACK and high <= 1 + _SLACK):  # NaN too
        normalised = "already normalised ones go to the network of vidrec.create_model"
        raise ValueError(
            f"float frames are expected from 0 to 1, these are from {low:.3g} to {high:.3g}: "
            + ("pass uint8, or divide by 255" if low >= 0 else normalised)
        )
    return video.float() * 255


def _wrong_channels(video: Tensor, order: str, given: int, channels: int) -> str:
    shape = tuple(video.shape[1:])
    fitting = [name for name in LAYOUTS if shape[name.index("C")] == channels]
    way_out = f"is it layout={fitting[0]!r}?" if fitting else "none of its axes fits"
    return (
        f"frames of shape {shape} have {given} channels as layout={order!r}, but the network takes "
        f"{channels}: {way_out}"
    )


def _cut(clips: Tensor, plan: CropPlan) -> Tensor:
    """`ArrayDecoder.read` for float32 (N, T, H, W, C), with a gradient."""
    steps = cutting_steps(plan.box, plan.size, (clips.shape[2], clips.shape[3]))
    images = clips.flatten(0, 1).permute(0, 3, 1, 2)
    if steps.scaled:
        images = _scaled(images, steps.scaled)
    images = _scaled(images[:, :, steps.rows, steps.columns], plan.size)
    mirrored = [axis for axis, flip in ((2, plan.flip_vertical), (3, plan.flip)) if flip]
    images = images.flip(mirrored) if mirrored else images
    return images.permute(0, 2, 3, 1).unflatten(0, clips.shape[:2])


def _scaled(images: Tensor, size: tuple[int, int]) -> Tensor:
    if cast(tuple[int, int], tuple(images.shape[-2:])) == size:
        return images
    return functional.interpolate(images, size=size, mode="bilinear", antialias=True)
