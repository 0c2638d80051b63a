"""Prepare datasets: write the lists that `data=NAME` reads, and look for all of their files."""

import argparse
import json
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from vidrec.errors import told_in_a_sentence
from vidrec.files.atomic_write import atomic_write
from vidrec.files.signature import refuse_others, sign
from vidrec.files.text_files import check_file, what_is_there

# Of each dataset: its usual folder, and what is written into it.
DATASETS = {
    "kinetics": ("data/kinetics400", "lists, from train.csv and validate.csv or val.csv"),
    "ucf101": ("data/ucf101", "nothing: data=ucf101 reads the official lists"),
    "hmdb51": ("data/hmdb51", "nothing: data=hmdb51 reads the official splits"),
    "sthv2": ("data/sthv2", "lists, from something-something-v2-*.json or train.json and so on"),
    "ava": ("data/ava", "nothing: data=ava22 reads the official csv files"),
    "activitynet": (
        "data/ActivityNet",
        "annotations of each subset, from activity_net.v1-3.min.json, or from "
        "anet_anno_action.json and video_info_new.csv",
    ),
}
_EXAMPLES = 3


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command's options."""
    parser = argparse.ArgumentParser(prog="vidrec data", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    builder = actions.add_parser(
        "list", help="write the lists of a dataset from its official files, and look for its videos"
    )
    datasets = builder.add_subparsers(dest="dataset", required=True)
    for name, (root, what) in DATASETS.items():
        one = datasets.add_parser(name, help=f"writes {what}")
        one.add_argument("--root", default=root, help=f"folder of the dataset ({root})")
        if name == "kinetics":
            one.add_argument(
                "--classes", type=int, default=400, choices=(400, 600, 700), help="which Kinetics"
            )
        if name == "ava":
            one.add_argument("--version", default="2.2", choices=("2.1", "2.2"))
    given = parser.parse_args(arguments)
    if given.dataset == "kinetics" and given.root == DATASETS["kinetics"][0]:
        given.root = f"data/kinetics{given.classes}"
    return given


def main(arguments: list[str]) -> None:
    """Entry point of `vidrec data`."""
    options = parse(arguments)
    root = Path(options.root)
    with told_in_a_sentence():
        if not root.is_dir():
            raise FileNotFoundError(f"--root {root} does not exist, {what_is_there(str(root))}")
        builders: dict[str, Callable[[], tuple[str, list[str]]]] = {
            "kinetics": lambda: kinetics(root, options.classes),
            "sthv2": lambda: something(root),
            "activitynet": lambda: activitynet(root),
            "ucf101": lambda: ("data=ucf101", []),
            "hmdb51": lambda: ("data=hmdb51", []),
            "ava": lambda: (f"data=ava{options.version.replace('.', '')}", ["model=slowonly_ava"]),
        }
        choice, overrides = builders[options.dataset]()
        if options.dataset in ("ucf101", "hmdb51", "ava"):
            print(f"{choice} reads the official files themselves: nothing is written")
        overrides = [choice, *overrides, f"data.root={root}"]
        for line in look(overrides):
            print(line)
        print(f"next: {shlex.join(['python', 'train.py', *overrides])}")


def kinetics(root: Path, num_classes: int) -> tuple[str, list[str]]:
    """Write the lists of a Kinetics; returns its choice and the overrides that it needs."""
    from vidrec.data.clips.kinetics import class_names, found_in, lines, read_clips

    name = f"kinetics{num_classes}"
    sources = {"train": ("train.csv",), "val": ("validate.csv", "val.csv")}
    clips = {split: read_clips(_first(root, files)) for split, files in sources.items()}
    classes = class_names(clips["train"])
    outputs = {split: root / f"{name}_{split}_list_videos.txt" for split in clips}
    names = root / f"{name}_classes.txt"
    refuse_others([*outputs.values(), names])
    for split, out in outputs.items():
        folder = root / f"videos_{split}"
        if not folder.is_dir():
            raise FileNotFoundError(
                f"{folder} does not exist: the {split} clips are expected below it, as "
                "CLASS/ID_000044_000054.mp4 or ID_000044_000054.mp4"
            )
        _write(out, lines(clips[split], classes, found_in(str(folder))), folder)
    _write_text(names, classes)
    overrides = [f"data.class_names={names}"]
    if len(classes) != num_classes:
        print(f"warning: {len(classes)} classes instead of {num_classes}: is train.csv whole?")
        overrides.append(f"data.num_classes={len(classes)}")
    return f"data={name}", overrides


def something(root: Path) -> tuple[str, list[str]]:
    """Write the lists of Something-Something V2; returns its choice and the overrides it needs."""
    from vidrec.data.clips.annotations import read_json, read_label_map

    start = "something-something-v2-"
    labels = _first(root, (f"{start}labels.json", "labels.json"))
    sources = {
        "train": (f"{start}train.json", "train.json"),
        "val": (f"{start}validation.json", "validation.json"),
    }
    outputs = {split: root / f"sthv2_{split}_list_videos.txt" for split in sources}
    names = root / "sthv2_classes.txt"
    refuse_others([*outputs.values(), names])
    there = {path.name for path in (root / "videos").glob("*")}
    for split, out in outputs.items():
        records = read_json(_first(root, sources[split]), classes=labels)
        rows = (
            (f"{record.path} {record.label}" if record.path in there else record.path,
             record.path in there)
            for record in (records[row] for row in range(len(records)))
        )  # fmt: skip
        _write(out, rows, root / "videos")
    _write_text(names, read_label_map(labels))
    return "data=sthv2", [f"data.class_names={names}"]


def activitynet(root: Path) -> tuple[str, list[str]]:
    """Write the annotations of each subset; returns the choice and the overrides it needs."""
    from vidrec.data.segments.annotations import videos_of

    source = _first(root, ("activity_net.v1-3.min.json", "anet_anno_action.json"))
    info = None
    if source.endswith("anet_anno_action.json"):
        info = _first(root, ("video_info_new.csv",))
    outputs = {
        subset: root / f"anet_anno_{split}.json"
        for split, subset in (("train", "training"), ("val", "validation"))
    }
    refuse_others(outputs.values())
    for subset, out in outputs.items():
        videos = {name: video for name, (_, video) in videos_of([source], {subset}, info).items()}
        _write_text(out, [json.dumps(videos)])
        print(f"{out}: {len(videos):,} videos")
    return "data=activitynet", ["model=bmn"]


def look(overrides: Sequence[str]) -> Iterator[str]:
    """A line for each split of the dataset that the overrides compose, as training would see it.

    Raises OSError or ValueError if training would refuse it.
    """
    # Imported here so that `--help` answers at once.
    from vidrec import build, compose
    from vidrec.engine.distributed import Distributed

    conf = compose(*overrides)
    for split in ("train", "val"):
        dataset = build.build_dataset(conf.data, split)
        build.check_files(conf.data, {split: dataset}, conf.runtime, Distributed())
        yield f"{split}: {len(dataset):,} samples, all files are there"


def _first(root: Path, names: Sequence[str]) -> str:
    """The first of several files that is in the folder, or in its annotations/ or labels/."""
    places = [root / folder for folder in ("", "annotations", "labels")]
    found = [place / name for name in names for place in places if (place / name).is_file()]
    if not found:
        raise FileNotFoundError(
            f"{root} has no {' or '.join(names)}, neither itself nor in annotations/ or labels/"
        )
    check_file(str(found[0]))
    return str(found[0])


def _write(out: Path, rows: Iterator[tuple[str, bool]], folder: Path) -> None:
    """Write the lines of the clips that are there, and say how many are not.

    rows: of each clip its line and True, or its name and False if it is missing.
    """
    listed: list[str] = []
    missing: list[str] = []
    for text, is_there in rows:
        (listed if is_there else missing).append(text)
    if not listed:
        raise FileNotFoundError(
            f"none of the {len(missing):,} clips of {out.name} is below {folder}, such as "
            f"{missing[0]}"
        )
    _write_text(out, listed)
    print(f"{out}: {len(listed):,} of {len(listed) + len(missing):,} clips")
    if missing:
        more = ", ..." if len(missing) > _EXAMPLES else ""
        print(
            f"warning: {len(missing):,} clips are not below {folder} and left out: "
            f"{', '.join(missing[:_EXAMPLES])}{more}"
        )


def _write_text(out: Path, lines: Sequence[str]) -> None:
    with atomic_write(out, "w") as stream:
        stream.writelines(f"{line}\n" for line in lines)
    sign(out)
