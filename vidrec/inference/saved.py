"""Predictions in a folder: a JSON file for each video, which says what it was made from, and
pictures beside it.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidrec.data.video.listing import files_below
from vidrec.files.atomic_write import atomic_write
from vidrec.files.output_folder import check_output_folder, mark_output_folder
from vidrec.files.signature import version_of
from vidrec.files.text_files import read_json_file
from vidrec.inference.prediction import (
    KeyFrame,
    Moment,
    Person,
    Prediction,
    ScoredClass,
    Segment,
)
from vidrec.inference.sources import ANNOTATED
from vidrec.inference.tables import write_csv

TABLE = "predictions.csv"
_SUFFIXES = {"video": ANNOTATED, "timeline": ".timeline.png"}


@dataclass(frozen=True)
class SavedPredictions:
    """The folder of predictions and what they are made with; see `vidrec.files.output_folder`."""

    folder: Path
    settings: Mapping[str, str]

    @property
    def made_with(self) -> str:
        """A hash of the settings, which every file has."""
        text = json.dumps(dict(self.settings), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def file(self, name: str) -> Path:
        """The file of a video."""
        return self.folder / f"{name}.json"

    def check(self, names: Iterable[str]) -> None:
        """Raise an error if the predictions of these videos must not be written there.

        See `check_output_folder`.
        """
        suffixes = (".json", *_SUFFIXES.values())
        files = [f"{name}{suffix}" for name in names for suffix in suffixes]
        check_output_folder(self.folder, self.settings, [*files, TABLE])

    def mark(self) -> None:
        """Note what the files are made with."""
        mark_output_folder(self.folder, self.settings)

    def read(self, name: str, video: str) -> Prediction | None:
        """What was written for this version of the video; None if there is nothing.

        Raises ValueError if its file is another command's.
        """
        path = self.file(name)
        if not path.is_file():
            return None
        content = _content_of(path)
        if not self._is_own(content):
            raise ValueError(
                f"{path} was not written by this command with these settings: delete it, or move "
                "it if it is yours"
            )
        return _prediction_in(path, content) if content["source"] == version_of(video) else None

    def write(self, name: str, found: Prediction, source: str) -> None:
        """Write the prediction of a video; source: the version that was read (`version_of`)."""
        content = {**found.as_dict(), "made_with": self.made_with, "source": source}
        with atomic_write(self.file(name), "w") as stream:
            stream.write(json.dumps(content, indent=1) + "\n")

    def picture(self, name: str, kind: str) -> Path:
        """The file of a picture of a video; kind: `video` or `timeline`."""
        return self.folder / f"{name}{_SUFFIXES[kind]}"

    def missing(self, name: str, pictures: Iterable[str]) -> list[str]:
        """Which of these pictures are not there."""
        return [kind for kind in pictures if not self.picture(name, kind).is_file()]

    def outdated(self, name: str, pictures: Iterable[str]) -> list[str]:
        """Which pictures go with a new prediction: these, and those of an earlier one."""
        return [k for k in _SUFFIXES if k in pictures or self.picture(name, k).is_file()]

    def draw(self, name: str, found: Prediction, pictures: Iterable[str]) -> None:
        """Write pictures of a prediction. Raises VideoError if its video cannot be read."""
        for kind in pictures:
            path = self.picture(name, kind)
            path.parent.mkdir(parents=True, exist_ok=True)
            if kind == "video":
                from vidrec.inference.annotated_video import write_annotated

                write_annotated(found, path)
            else:
                from vidrec.inference.timeline import draw_timeline

                draw_timeline(found, path)

    def write_table(self, task: str, but: Iterable[str] = ()) -> int:
        """Write predictions.csv with the rows of every file of these settings, in order of name.

        but: names that are left out. Returns the number of videos.
        """
        left_out = {self.file(name) for name in but}
        count = 0

        def predictions() -> Iterator[Prediction]:
            nonlocal count
            for path in files_below(self.folder):
                if path.suffix != ".json" or path in left_out or path.name.startswith("."):
                    continue
                if self._ends_as_own(path) and self._is_own(content := _content_of(path)):
                    count += 1
                    yield _prediction_in(path, content)

        write_csv(predictions(), task, self.folder / TABLE)
        return count

    def _ends_as_own(self, path: Path) -> bool:
        """Whether the hash of the settings is near the end of a file, as `write` puts it.

        Others in the folder, such as the annotations of a dataset, may be too large to be parsed.
        """
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - 1024))
            return self.made_with.encode() in stream.read()

    def _is_own(self, content: Mapping[str, Any]) -> bool:
        return content.get("made_with") == self.made_with and "source" in content


def _content_of(path: Path) -> Mapping[str, Any]:
    """The object in a file; empty if something else is in it."""
    try:
        content = read_json_file(str(path))
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _prediction_in(path: Path, content: Mapping[str, Any]) -> Prediction:
    try:
        return prediction_from(content)
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{path} was changed: delete it, or move it if it is yours") from None


def prediction_from(content: Mapping[str, Any]) -> Prediction:
    """The prediction of a JSON file, but for the array of scores."""
    return Prediction(
        video=content["video"],
        model=content["model"],
        task=content["task"],
        protocol=content["protocol"],
        duration=content["duration"],
        topk=_classes(content["topk"]),
        timeline=[
            Moment(part["start"], part["end"], _classes(part["topk"]))
            for part in content["timeline"]
        ],
        key_frames=[
            KeyFrame(frame["time"], [_person(person) for person in frame["persons"]])
            for frame in content["key_frames"]
        ],
        segments=[Segment(**segment) for segment in content["segments"]],
    )


def _classes(rows: Iterable[Mapping[str, Any]]) -> list[ScoredClass]:
    return [ScoredClass(**row) for row in rows]


def _person(row: Mapping[str, Any]) -> Person:
    x1, y1, x2, y2 = row["box"]
    return Person((x1, y1, x2, y2), row["score"], _classes(row["actions"]))
