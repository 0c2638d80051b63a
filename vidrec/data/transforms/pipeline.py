"""The steps of a configuration in order: one plan for the decoder, then changes of pixels."""

from collections.abc import Callable, Mapping

import numpy as np

from vidrec.data.transforms.geometric import Flip, GeometricStep, KnownSize
from vidrec.data.transforms.photometric import apply_torchvision, is_torchvision
from vidrec.data.video.geometry import CropPlan, FrameGeometry

# A `GeometricStep`, a step on pixels, or a transform of torchvision.transforms.v2.
Step = Callable[..., object]


class Pipeline:
    """Named steps in order: geometric ones become the plan, the others work on pixels afterwards.

    A step on pixels is called as `step(frames, rng)` with (F, H, W, C) uint8 and returns the same.
    Transforms of torchvision.transforms.v2 are accepted as well. A step that is None is left out.

    >>> from vidrec.data.transforms.geometric import CenterCrop, Resize
    >>> steps = Pipeline({"resize": Resize((-1, 256)), "crop": CenterCrop(224)})
    >>> plan = steps.plan(width=640, height=480, rng=np.random.default_rng(0))
    >>> plan.size, [round(edge, 1) for edge in plan.box]  # for `read` of a decoder
    ((224, 224), [108.9, 30.0, 420.4, 420.0])
    """

    def __init__(self, steps: Mapping[str, Step | None]) -> None:
        self.steps = {name: step for name, step in steps.items() if step is not None}
        self.geometric: dict[str, GeometricStep] = {}
        self.pixels: dict[str, Step] = {}
        self.cutting: str | None = None  # the step that cuts several views
        for name, step in self.steps.items():
            if not callable(step):
                raise ValueError(f"transform step '{name}' is {step!r}, which is not callable")
            if not isinstance(step, GeometricStep):
                self.pixels[name] = step
                continue
            # Colour changes commute with the crops and scaling of the decoder; others may not.
            late = [n for n, other in self.pixels.items() if is_torchvision(other)]
            if late:
                raise ValueError(
                    f"transform step '{name}' comes after '{late[0]}' of torchvision, but is part "
                    "of decoding; move it to the front, or use torchvision's counterpart"
                )
            if self.cutting and not isinstance(step, Flip):
                raise ValueError(
                    f"transform step '{name}' comes after '{self.cutting}', which cuts several "
                    "views; only a Flip may follow it"
                )
            if step.num_crops > 1:
                self.cutting = name
            self.geometric[name] = step

    @property
    def num_crops(self) -> int:
        """Views that are cut from each clip."""
        return max([1, *(step.num_crops for step in self.geometric.values())])

    @property
    def crop_size(self) -> int | tuple[int, int] | None:
        """Edge or (width, height) of the views in pixels; None if it depends on the video."""
        size: KnownSize = None
        for step in self.geometric.values():
            size = step.size_after(size)
        if not isinstance(size, tuple):
            return None
        width, height = size
        for pixel_step in self.pixels.values():
            if is_torchvision(pixel_step):  # may crop or scale as well
                blank = np.zeros((1, height, width, 3), np.uint8)
                changed = apply_torchvision(pixel_step, blank, np.random.default_rng(0))
                height, width = changed.shape[1:3]
        return width if width == height else (width, height)

    @property
    def short_side(self) -> int | None:
        """Short side in pixels that frames are scaled to before they are cropped, if fixed."""
        size: KnownSize = None
        for step in self.geometric.values():
            if step.num_crops:
                break
            size = step.size_after(size)
        return min(size) if isinstance(size, tuple) else size

    def plan(self, width: int, height: int, rng: np.random.Generator) -> CropPlan:
        """The plan for a clip of `width` x `height` pixels."""
        frame = FrameGeometry(width, height)
        for step in self.geometric.values():
            step(frame, rng)
        return frame.plan()

    def label(self, label: np.ndarray, plan: CropPlan) -> np.ndarray:
        """The label of a clip cut by `plan`, () int64 or (K,) float32, after mirroring."""
        if not plan.flip:
            return label
        for step in self.geometric.values():
            if isinstance(step, Flip) and step.flip_label_map:
                if label.ndim == 0:
                    swapped_class = step.flip_label_map.get(int(label), int(label))
                    return np.array(swapped_class, dtype=label.dtype)
                swapped = label.copy()
                swapped[list(step.flip_label_map)] = 0
                for old, new in step.flip_label_map.items():
                    swapped[new] += label[old]
                return swapped
        return label

    def finish(self, frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Apply the steps on pixels to (F, H, W, C) uint8."""
        for name, step in self.pixels.items():
            size = frames.shape[1:3]
            if is_torchvision(step):
                changed: object = apply_torchvision(step, frames, rng)
            else:
                changed = step(frames, rng)
            assert isinstance(changed, np.ndarray)
            frames = changed
            if frames.dtype != np.uint8 or frames.ndim != 4:
                raise ValueError(
                    f"transform step '{name}' returned {frames.dtype} of shape {frames.shape}; "
                    "frames stay (F, H, W, C) uint8 and are normalised on the device"
                )
            if self.cutting and frames.shape[1:3] != size:
                raise ValueError(
                    f"transform step '{name}' changed the size of frames after '{self.cutting}' "
                    "placed several views in them; drop one of the two"
                )
        return frames
