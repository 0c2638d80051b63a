"""Find persons in videos and write them as proposals for a detector of actions."""

import argparse

from vidrec.errors import told_in_a_sentence


def main(arguments: list[str]) -> None:
    """Entry point of `vidrec persons`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", help="a folder of video files, a list of paths, or one file")
    parser.add_argument("--weights", required=True, help="a checkpoint of the detector")
    parser.add_argument(
        "--out", default="persons.npz", help="the proposal file: .npz, .pkl, .csv or .json"
    )
    parser.add_argument(
        "--detector", default="fasterrcnn_resnet50_fpn", help="a detector of torchvision"
    )
    parser.add_argument("--num-classes", type=int, default=91, help="of the detector")
    parser.add_argument("--person", type=int, default=1, help="its class of persons")
    parser.add_argument(
        "--every", type=float, default=1.0, help="seconds from one key frame to the next"
    )
    parser.add_argument(
        "--frames", action="store_true", help="count frames, not seconds: keys are their numbers"
    )
    parser.add_argument(
        "--begin",
        default="0",
        help="clock of a file's first frame, e.g. 900 for AVA's cuts; 'name' for VIDEO_START_END",
    )
    parser.add_argument("--start", type=float, help="clock of the first key frame, e.g. 902")
    parser.add_argument("--end", type=float, help="clock of the last key frame, e.g. 1798")
    parser.add_argument("--threshold", type=float, default=0.05, help="least score of a box")
    parser.add_argument("--batch-size", type=int, default=4, help="key frames at a time")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    options = parser.parse_args(arguments)
    with told_in_a_sentence():
        # Imported here so that `--help` answers at once.
        import torch

        from vidrec.commands.persons_run import Clock, PersonDetector, find_persons

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
        count = find_persons(
            options.videos, options.out, detector, clock, options.batch_size, progress=True
        )
        print(f"{options.out}: persons in {count:,} key frames")
