"""Where predictions get their videos from: files, folders, lists, or what is live."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vidrec.data.video.listing import VIDEO_EXTENSIONS, by_name, files_below
from vidrec.files.text_files import what_is_there

STANDARD_INPUT = "-"
ANNOTATED = ".annotated.mp4"
"""Ends the names of videos with predictions, which lie beside a JSON file: they are no sources."""

_IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
_LIVE = re.compile(r"camera:|[a-z][a-z0-9+.-]*://")
_LABEL = re.compile(r"(.*\S)(?:\s+|\s*[,;]\s*)-?\d+")  # a number that follows a path
_SHOWN = 3  # missing files of a list that are named


@dataclass
class Found:
    """The videos of the arguments, each once, in their order; folders of frames are videos too.

    folders: of each video the folder that the name of its results is relative to.
    problems: a sentence for every argument that gives no video, or not all that it lists.
    """

    paths: list[str] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def without_frames(self) -> "Found":
        """The files alone, for a network that reads no folders of frames."""
        kept = [i for i, path in enumerate(self.paths) if not os.path.isdir(path)]
        frames = [path for path in self.paths if os.path.isdir(path)]
        if not frames:
            return self
        others = f" and {len(frames) - 1:,} more" if len(frames) > 1 else ""
        problem = (
            f"{frames[0]}{others} holds images, but the network reads videos: join the frames into "
            f"a file, such as with ffmpeg -framerate 25 -pattern_type glob -i '{frames[0]}/*.jpg' "
            "video.mp4"
        )
        return Found(
            [self.paths[i] for i in kept],
            [self.folders[i] for i in kept],
            [*self.problems, problem],
        )

    def names(self) -> list[str]:
        """What the results of each video are called, such as `deeper/c`.

        Raises ValueError if two videos would have the same name.
        """
        names: dict[str, str] = {}
        for path, folder in zip(self.paths, self.folders, strict=True):
            (name,) = by_name(folder, [Path(path)])
            other = names.setdefault(name, path)
            if other != path:
                raise ValueError(
                    f"{other} and {path} would both be written as '{name}': pass a folder that "
                    "holds both, or process them by themselves, with another output"
                )
        return list(names)


def is_live(source: str) -> bool:
    """Whether a source is a camera or an address, not a path.

    >>> is_live("camera:0"), is_live("rtsp://host/door"), is_live("videos/a.mp4")
    (True, True, False)
    """
    return _LIVE.match(source) is not None


def find_videos(sources: Sequence[str], standard_input: Iterable[str] = ()) -> Found:
    """The videos of files, folders (at any depth), lists of paths and `-`, the standard input.

    A folder without videos but with images gives the folders of these.

    standard_input: its lines.
    """
    found, seen = Found(), set[str]()
    for source in sources:
        try:
            folder, paths = _videos_of(source, standard_input, found.problems)
        except OSError as error:
            reason = f"{source} cannot be read: {error.strerror}" if error.errno else str(error)
            found.problems.append(reason)
            continue
        for path in paths:
            if (whole := os.path.abspath(path)) not in seen:
                seen.add(whole)
                found.paths.append(str(path))
                found.folders.append(folder)
    return found


def _videos_of(
    source: str, standard_input: Iterable[str], problems: list[str]
) -> tuple[Path, list[Path]]:
    """The folder that names are relative to, and the files. Raises OSError if there are none."""
    if source == STANDARD_INPUT:
        return Path(), _listed("standard input", Path(), standard_input, problems)
    path = Path(source)
    if path.is_dir():
        return path, _in_folder(path)
    if not path.exists():
        raise FileNotFoundError(f"{source} does not exist; {what_is_there(source)}")
    if not path.is_file():
        raise OSError(f"{source} is a device or a pipe, not a file; write camera:0 for a camera")
    suffix = path.suffix.lower()
    if suffix in _IMAGES:
        raise OSError(f"{source} is an image, not a video")
    if suffix not in VIDEO_EXTENSIONS and _is_text(path):
        text = path.read_text("utf-8-sig", "surrogateescape")
        return path.parent, _listed(source, path.parent, text.splitlines(), problems)
    return path.parent, [path]


def _in_folder(folder: Path) -> list[Path]:
    """The videos of a folder, or its folders of frames. Raises OSError if it has neither."""
    files = files_below(folder)
    videos = [file for file in files if file.suffix.lower() in VIDEO_EXTENSIONS]
    if videos := [file for file in videos if not _is_annotated(file)]:
        return videos
    images = [file for file in files if file.suffix.lower() in _IMAGES]
    if images:
        return sorted({image.parent for image in images})
    raise FileNotFoundError(
        f"{folder} holds no videos: none of its {len(files)} files ends with "
        f"{', '.join(VIDEO_EXTENSIONS[:6])} or the like"
    )


def _has_frames(folder: Path) -> bool:
    """Whether there are images in a folder itself."""
    return folder.is_dir() and any(name.lower().endswith(_IMAGES) for name in os.listdir(folder))


def _is_annotated(video: Path) -> bool:
    """Whether a prediction of this program was drawn into a video."""
    name = video.name.removesuffix(ANNOTATED)
    return name != video.name and video.with_name(f"{name}.json").is_file()


def _listed(name: str, base: Path, lines: Iterable[str], problems: list[str]) -> list[Path]:
    """The files that the lines name, one each; paths are relative to `base`.

    Numbers after a path are labels, which are ignored.
    """
    paths, missing = [], []
    for line in filter(None, map(str.strip, lines)):
        path = next((p for p in _readings(base, line) if p.is_file() or _has_frames(p)), None)
        if path is None:
            missing.append(line)
        else:
            paths.append(path)
    if not paths and not missing:
        raise FileNotFoundError(f"{name} is empty: expected the path of a video in each line")
    if missing:
        total = len(paths) + len(missing)
        where = "the working directory" if name == "standard input" else "the folder of the list"
        sentence = (
            f"{name}: {len(missing):,} of {total:,} lines name no file, such as "
            f"{', '.join(map(repr, missing[:_SHOWN]))}; paths are relative to {where}"
        )
        if not paths:
            raise FileNotFoundError(sentence)
        problems.append(sentence)
    return paths


def _readings(base: Path, line: str) -> Iterator[Path]:
    """The paths that a line can mean: all of it, or what is before one or more numbers."""
    text: str | None = line
    while text:
        yield base / text
        label = _LABEL.fullmatch(text)
        text = label[1] if label else None


def _is_text(path: Path) -> bool:
    """Whether a file begins like a text in UTF-8 rather than a video."""
    with path.open("rb") as stream:
        start = stream.read(4096)
    if not start or b"\0" in start:
        return False
    # The last character may be cut.
    return any(_decodes(start[: len(start) - cut]) for cut in range(4))


def _decodes(text: bytes) -> bool:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
