"""The lists of UCF101, HMDB51 and Jester as they are downloaded -> `Records`. Opens no video."""

from collections.abc import Sequence
from pathlib import Path

from vidrec.data.clips.annotations import read_label_map
from vidrec.data.clips.records import Records
from vidrec.errors import did_you_mean
from vidrec.files.text_files import numbered_lines, what_is_there

_HMDB51_FLAGS = {"train": "1", "test": "2"}  # 0: the video is in neither part


def read_ucf101_list(path: str, classes: str, *, num_classes: int | None = None) -> Records:
    """A list of the official UCF101 splits: `Class/video.avi`, in training lists with a label.

    classes: the official classInd.txt. The folder in a path is the class; a label, which counts
        from 1, must agree with it.
    """
    names = _classes(read_label_map(classes), classes, num_classes)
    numbers = {name: i for i, name in enumerate(names)}
    paths: list[str] = []
    labels: list[int] = []
    for number, line in numbered_lines(path):
        name, _, given = line.partition(" ")
        label = numbers.get(name.split("/")[0])
        if label is None or (given and given.strip() != str(label + 1)):
            known = f"{label + 1} in" if label is not None else "not a class of"
            raise ValueError(
                f"{path}:{number}: {line!r}, but {name.split('/')[0]!r} is {known} {classes}; "
                "expected `Class/video` or `Class/video label`"
            )
        paths.append(name)
        labels.append(label)
    return _records(paths, labels, names)


def read_hmdb51_splits(
    path: str, *, fold: int, split: str, num_classes: int | None = None
) -> Records:
    """One part of an official split of HMDB51, with paths `class/video.avi`.

    path: the folder of the split files, `CLASS_test_split1.txt` and so on: for every video of the
        class a line `video.avi flag`, 1 for training, 2 for test and 0 for neither.
    fold: number of the split. split: `train` or `test`.
    """
    if split not in _HMDB51_FLAGS:
        raise ValueError(f"split={split!r} is neither 'train' nor 'test'")
    if not Path(path).is_dir():
        raise FileNotFoundError(f"{path} is not a folder; {what_is_there(path)}")
    ending = f"_test_split{fold}.txt"
    names = sorted(file.name.removesuffix(ending) for file in Path(path).glob(f"*{ending}"))
    if not names:
        raise FileNotFoundError(f"{path} has no files CLASS{ending}; there are splits 1, 2 and 3")
    _classes(names, path, num_classes)
    paths: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(names):
        file = str(Path(path, name + ending))
        for number, line in numbered_lines(file):
            video, _, flag = line.rpartition(" ")
            if not video.strip() or flag not in ("0", "1", "2"):
                raise ValueError(
                    f"{file}:{number}: {line!r}: expected `video flag`, with the flag 1 for "
                    "training, 2 for test or 0 for neither"
                )
            if flag == _HMDB51_FLAGS[split]:
                paths.append(f"{name}/{video.strip()}")
                labels.append(label)
    return _records(paths, labels, names)


def read_jester_list(path: str, classes: str, *, num_classes: int | None = None) -> Records:
    """A list of Jester: `id;class`, where the id is the name of a folder of frames.

    classes: the official jester-v1-labels.csv, a name per line.
    """
    names = _classes(read_label_map(classes), classes, num_classes)
    numbers = {name: i for i, name in enumerate(names)}
    paths: list[str] = []
    labels: list[int] = []
    for number, line in numbered_lines(path):
        video, _, name = (part.strip() for part in line.partition(";"))
        if not video or name not in numbers:
            hint = did_you_mean(name, names) if name else "expected `id;class`"
            raise ValueError(
                f"{path}:{number}: {line!r}: {name!r} is not a class of {classes}; {hint}"
            )
        paths.append(video)
        labels.append(numbers[name])
    return _records(paths, labels, names)


def _classes(names: list[str], place: str, num_classes: int | None) -> list[str]:
    if num_classes is not None and len(names) != num_classes:
        raise ValueError(f"{place} has {len(names)} classes, but num_classes={num_classes}")
    return names


def _records(paths: Sequence[str], labels: Sequence[int], names: Sequence[str]) -> Records:
    records = Records.pack(paths, labels)
    records.class_names = names
    return records
