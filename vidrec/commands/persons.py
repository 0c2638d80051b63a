"""Detect persons in videos and write them as proposals for action detection."""

import argparse
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from vidrec.data.boxes.clock import Clock, length_of_pictures
from vidrec.data.boxes.key_frames import begin_of
from vidrec.data.boxes.keys import key
from vidrec.data.boxes.person_proposals import format_of, read_proposals, write_proposals
from vidrec.data.video.decoder import Decoder, VideoError
from vidrec.data.video.geometry import CropPlan
from vidrec.data.video.listing import by_name, list_videos
from vidrec.data.video.pyav import VideoReader
from vidrec.data.video.timestamps import TimestampDecoder
from vidrec.errors import told_in_a_sentence
from vidrec.files.partial_results import delete_partial_results, open_partial_results
from vidrec.files.signature import refuse_others, sign, version_of
from vidrec.progress import print_above, track


class Detector(Protocol):
    """Detects persons in frames, as `vidrec.models.person_detector` does."""

    made_of: str  # everything that its boxes depend on

    def __call__(self, frames: np.ndarray) -> list[np.ndarray]: ...


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command's options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", help="a folder of video files, a list of paths, or one file")
    parser.add_argument("--weights", required=True, help="checkpoint of the detector")
    parser.add_argument(
        "--out", default="persons.npz", help="the proposal file: .npz, .pkl, .csv or .json"
    )
    parser.add_argument(
        "--detector", default="fasterrcnn_resnet50_fpn", help="name of a torchvision detector"
    )
    parser.add_argument("--num-classes", type=int, default=91, help="classes of the detector")
    parser.add_argument("--person", type=int, default=1, help="its class index for persons")
    parser.add_argument(
        "--every", type=float, default=1.0, help="seconds from one key frame to the next"
    )
    parser.add_argument(
        "--frames", action="store_true", help="count frames, not seconds; keys are frame numbers"
    )
    parser.add_argument(
        "--begin",
        default="0",
        help="time of a file's first frame, e.g. 900 for AVA's cuts; 'name' for VIDEO_START_END",
    )
    parser.add_argument("--start", type=float, help="time of the first key frame, e.g. 902")
    parser.add_argument("--end", type=float, help="time of the last key frame, e.g. 1798")
    parser.add_argument("--threshold", type=float, default=0.05, help="minimum score of a box")
    parser.add_argument("--batch-size", type=int, default=4, help="key frames per batch")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> None:
    """Entry point of `vidrec persons`."""
    options = parse(arguments)
    with told_in_a_sentence():
        # Imported here so that `--help` answers at once.
        import torch

        from vidrec.models.person_detector import PersonDetector

        device = options.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        detector = PersonDetector(
            options.detector,
            options.weights,
            options.num_classes,
            options.person,
            options.threshold,
            device,
        )
        begin = None if options.begin == "name" else float(options.begin)
        clock = Clock(options.every, options.frames, begin, options.start, options.end)
        found, total = find_persons(
            options.videos, options.out, detector, clock, options.batch_size, progress=True
        )
        print(f"{options.out}: persons in {found:,} of {total:,} key frames")
        if not found:
            print(
                "warning: no person was found: check --weights, --num-classes, --person and "
                "--threshold"
            )


def find_persons(
    videos: str, out: str, detector: Detector, clock: Clock, batch_size: int, progress: bool
) -> tuple[int, int]:
    """Write the proposal file `out` of all `videos`.

    Returns how many key frames have persons, and how many there are.

    videos: a folder, a list of paths or one file. Videos that were finished before an interruption
    are not repeated. Raises ValueError at the end if a video could not be read; the others are
    written, and the same command adds it when it is repaired.
    """
    format_of(out)  # before hours of work
    refuse_others([out])
    named = by_name(*list_videos(videos))
    folder = open_partial_results(out, f"{clock} {detector.made_of}")
    persons: dict[str, np.ndarray] = {}
    skipped = []
    for name, path in track(named.items(), "persons", progress):
        # A file that was replaced has other persons.
        source = f"{name} {version_of(path)}"
        part = folder / f"{hashlib.sha256(source.encode()).hexdigest()[:16]}.npz"
        if not part.exists():
            try:
                found = in_video(path, name, detector, clock, batch_size)
            except VideoError as error:
                print_above(f"warning: skipped a video: {error}")
                skipped.append(str(path))
                continue
            write_proposals(str(part), found)
        persons |= read_proposals(str(part))
    if not persons:
        raise ValueError(f"no video of {videos} has a key frame: check --every, --start and --end")
    write_proposals(out, persons)
    sign(out)
    if skipped:
        raise ValueError(
            f"{out} lacks {len(skipped)} of {len(named)} videos, for the reasons above: "
            f"{', '.join(skipped[:5])}{', ...' if len(skipped) > 5 else ''}; repair them and "
            "repeat the command"
        )
    delete_partial_results(folder)
    return sum(len(boxes) > 0 for boxes in persons.values()), len(persons)


def in_video(
    path: Path, name: str, detector: Detector, clock: Clock, batch_size: int
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
    """A few key frames at a time: their times, the opened video and its frames."""
    if clock.frames:
        with VideoReader(accurate=True).open(path) as source:
            moments = clock.moments(0, source.num_frames)
            for start in range(0, len(moments), batch_size):
                part = moments[start : start + batch_size]
                yield part, source, part.astype(int).tolist()
        return
    begin = begin_of(name, clock.begin)
    moments = clock.moments(begin, length_of_pictures(path))
    for start in range(0, len(moments), batch_size):
        part = moments[start : start + batch_size]
        with TimestampDecoder(path, part - begin, accurate=True) as source:
            yield part, source, range(len(part))
