"""Persons in videos, found by a detector of torchvision: the proposals of one's own videos."""

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vidrec.commands.extract_run import find_videos
from vidrec.data.boxes.key_frames import begin_of
from vidrec.data.boxes.person_proposals import format_of, read_proposals, write_proposals
from vidrec.data.boxes.records import key
from vidrec.data.video.decoder import Decoder, VideoError
from vidrec.data.video.geometry import CropPlan
from vidrec.data.video.pyav import VideoReader
from vidrec.data.video.timestamps import TimestampDecoder, length_of
from vidrec.files.partial_results import open_partial_results
from vidrec.progress import print_above, track


@dataclass(frozen=True)
class Clock:
    """Which moments of a video are key frames.

    every: seconds from one to the next; with `frames` every so many frames, counted from 0.
    begin: clock of a file's first frame; None: of a name VIDEO_START_END, START (see `begin_of`).
    start, end: clock of the first and the last key frame; None: those of the file.
    """

    every: float = 1.0
    frames: bool = False
    begin: float | None = 0.0
    start: float | None = None
    end: float | None = None

    def __post_init__(self) -> None:
        if self.every <= 0:
            raise ValueError(f"every={self.every} must be above 0")
        if self.frames and self.every != int(self.every):
            raise ValueError(f"every={self.every} is not a whole number of frames")

    def moments(self, begin: float, length: float) -> np.ndarray:
        """Key frames of a file that begins at `begin` and lasts `length`, on the clock."""
        first = begin if self.start is None else max(self.start, begin)
        last = begin + length if self.end is None else min(self.end, begin + length)
        # Whole multiples of the interval, so that keys do not depend on the file.
        numbers = np.arange(np.ceil(first / self.every - 1e-9), np.floor(last / self.every + 1) + 1)
        moments = numbers * self.every
        inside = (moments < begin + length - 1e-9) & (moments <= last + 1e-9)
        return moments[inside]


class PersonDetector:
    """A detector of torchvision with weights from a file.

    name: as torchvision has it, e.g. fasterrcnn_resnet50_fpn. person: its class of persons.
    threshold: boxes with a lower score are left out.
    """

    def __init__(
        self,
        name: str,
        weights: str,
        num_classes: int = 91,
        person: int = 1,
        threshold: float = 0.05,
        device: str = "cpu",
    ) -> None:
        self.net = load_detector(name, weights, num_classes).to(device).eval()
        self.person = person
        self.threshold = threshold
        self.device = device
        # What its boxes depend on.
        self.made_of = f"{name} {weights} {num_classes} {person} {threshold}"

    @torch.inference_mode()
    def __call__(self, frames: np.ndarray) -> list[np.ndarray]:
        """Frames (F, H, W, 3) uint8 -> persons of each, (P, 5): shares of the frame and a score."""
        height, width = frames.shape[1:3]
        images = torch.from_numpy(frames).to(self.device).permute(0, 3, 1, 2).float() / 255
        scale = torch.tensor([width, height, width, height], device=self.device)
        persons = []
        for found in self.net(list(images)):
            wanted = (found["labels"] == self.person) & (found["scores"] >= self.threshold)
            boxes = (found["boxes"][wanted] / scale).clamp(0, 1)
            rows: Tensor = torch.cat([boxes, found["scores"][wanted, None]], dim=1)
            rows = rows[(boxes[:, 2:] > boxes[:, :2]).all(dim=1)]
            persons.append(rows.cpu().numpy())
        return persons


def load_detector(name: str, weights: str, num_classes: int) -> nn.Module:
    """A detector of torchvision; ValueError where the name or the weights do not fit."""
    from torchvision.models import detection, get_model, list_models

    known = list_models(detection)
    if name not in known:
        raise ValueError(f"there is no detector '{name}' in torchvision; there are {known}")
    if not Path(weights).is_file():
        raise FileNotFoundError(
            f"the weights {weights} do not exist; torchvision's are on its page of detectors "
            f"(https://pytorch.org/vision/stable/models.html), e.g. of {name}"
        )
    net = get_model(name, weights=None, weights_backbone=None, num_classes=num_classes)
    state = torch.load(weights, map_location="cpu", weights_only=True)
    try:
        net.load_state_dict(state.get("model", state))
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip()
        raise ValueError(
            f"{weights} does not fit {name} of {num_classes} classes: {first}"
        ) from None
    return net


def find_persons(
    videos: str, out: str, detector: PersonDetector, clock: Clock, batch_size: int, progress: bool
) -> int:
    """Write the proposal file `out` of all `videos`; returns how many key frames it has.

    videos: a folder, a list of paths or one file. Videos that were done before an interruption
    stay done. A video that cannot be read is named and left out.
    """
    format_of(out)  # before hours of work
    root, paths = find_videos(videos)
    folder = open_partial_results(out, f"{clock} {detector.made_of}")
    persons: dict[str, np.ndarray] = {}
    for path in track(paths, "persons", progress):
        name = path.relative_to(root).with_suffix("").as_posix()
        part = folder / f"{hashlib.sha256(str(path).encode()).hexdigest()[:16]}.npz"
        if not part.exists():
            try:
                found = in_video(path, name, detector, clock, batch_size)
            except VideoError as error:
                print_above(f"warning: left out: {error}")
                continue
            write_proposals(str(part), found)
        persons |= read_proposals(str(part))
    if not persons:
        raise ValueError(f"no video of {videos} has a key frame: see every, start and end")
    write_proposals(out, persons)
    shutil.rmtree(folder)
    return len(persons)


def in_video(
    path: Path, name: str, detector: PersonDetector, clock: Clock, batch_size: int
) -> dict[str, np.ndarray]:
    """`NAME,0902` -> persons (P, 5) of every key frame of a video."""
    found = {}
    for moments, source, indices in _batches(str(path), name, clock, batch_size):
        plan = CropPlan((0, 0, source.width, source.height), (source.height, source.width))
        for moment, rows in zip(moments, detector(source.read(indices, plan)), strict=True):
            found[key(name, float(moment))] = rows
    return found


def _batches(
    path: str, name: str, clock: Clock, batch_size: int
) -> Iterator[tuple[np.ndarray, Decoder, Sequence[int]]]:
    """Some key frames at a time: their moments, the opened video and its frames."""
    if clock.frames:
        with VideoReader(accurate=True).open(None, path) as source:
            moments = clock.moments(0, source.num_frames)
            for start in range(0, len(moments), batch_size):
                part = moments[start : start + batch_size]
                yield part, source, part.astype(int).tolist()
        return
    begin = begin_of(name, clock.begin)
    moments = clock.moments(begin, length_of(path))
    for start in range(0, len(moments), batch_size):
        part = moments[start : start + batch_size]
        with TimestampDecoder(path, part - begin, accurate=True) as source:
            yield part, source, range(len(part))
