"""List files, JSON files and folders -> `Records`, a packed table of samples. Opens no video.

Labels count from 0. A list without any labels is one of videos to predict, which only evaluation
with `dump=FILE` takes (`Records.unlabelled`): paths of video files, or folders and their numbers of
frames. List files are UTF-8; blank lines are ignored, and so are comments, which are counted in
`Records.remarks`: lines of `#` alone, or of `#` and a space (write `./# name` for a path that
begins so). Lines are parsed from the right: a path may contain the delimiter, but must not end in a
number that is separated by it. A line that cannot be parsed raises a ValueError with the file, the
line and the expected form.
"""

import json
import os
import re
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vidrec.data.clips.records import Records
from vidrec.data.video.listing import VIDEO_EXTENSIONS, files_below
from vidrec.errors import did_you_mean
from vidrec.files.text_files import (
    numbered_lines,
    read_json_file,
    what_is_there,
)

_PATH_KEYS = ("path", "video", "filename", "frame_dir")
_MAX_LABEL = 9_999_999  # as data.num_classes is limited; a typo must not fill the memory
_SHOWN = 200  # characters of a wrong line


@dataclass(frozen=True)
class Labels:
    """What the labels of a row may be.

    num_classes: they are below it; None: it is not known.
    several: a row may have any number of labels.
    multi_hot: a row has a 0 or 1 for each class instead.
    """

    num_classes: int | None = None
    several: bool = False
    multi_hot: bool = False

    def __post_init__(self) -> None:
        if self.multi_hot and not (self.several and self.num_classes):
            raise ValueError("multi_hot=true needs multi_label=true and num_classes")

    def of(self, numbers: Sequence[int]) -> tuple[int, ...]:
        """The labels that the numbers of a row mean. Raises ValueError if they cannot be right."""
        if self.multi_hot:
            if len(numbers) != self.num_classes or not {0, 1}.issuperset(numbers):
                raise ValueError(
                    f"{len(numbers)} labels up to {max(numbers, default=0)} are not "
                    f"num_classes={self.num_classes} numbers 0 or 1 (multi_hot)"
                )
            return tuple(label for label, given in enumerate(numbers) if given)
        limit = _MAX_LABEL + 1 if self.num_classes is None else self.num_classes
        for label in numbers:
            if label < 0:
                raise ValueError(f"label {label} is negative, labels count from 0")
            if label >= limit:
                raise ValueError(
                    f"label {label} is not below num_classes={limit}, labels count from 0"
                )
        if len(set(numbers)) < len(numbers):
            raise ValueError(
                f"label {_doubled(numbers)} is given twice; for a 0 or 1 for each class set "
                "data.multi_hot=true"
            )
        return tuple(numbers)


def read_video_list(
    path: str | Sequence[str],
    *,
    delimiter: str = " ",
    multi_label: bool = False,
    multi_hot: bool = False,
    num_classes: int | None = None,
    folders: Sequence[str] | None = None,
) -> Records:
    """Lines of `path label`, or of `path label label ...` if `multi_label`.

    path: the list, or several to read one after another.
    multi_hot: the labels are a 0 or 1 for each class.
    folders: one for each of several lists, which its paths are relative to.
    """
    paths = [path] if isinstance(path, str) else list(path)
    for name in paths:
        if re.search(r"_test_split\d\.txt$", name):
            raise ValueError(
                f"{name} is a file of HMDB51's splits, whose numbers say train or test, not the "
                "class: read them with data=hmdb51, or give a list of another name"
            )
    folders = [""] * len(paths) if folders is None else list(folders)
    if len(folders) != len(paths):
        raise ValueError(f"{len(paths)} lists, but {len(folders)} folders: pass one for each list")
    prefixes = [f"{folder}/" if folder else "" for folder in folders]
    lists = dict(zip(paths, prefixes, strict=True))
    if len(lists) < len(paths):
        raise ValueError(f"{Counter(paths).most_common(1)[0][0]} is given twice as a list")
    return _read_lists(lists, delimiter, [], Labels(num_classes, multi_label, multi_hot))


def read_frame_list(
    path: str,
    *,
    delimiter: str = " ",
    with_offset: bool = False,
    multi_label: bool = False,
    multi_hot: bool = False,
    num_classes: int | None = None,
) -> Records:
    """Lines of `folder num_frames label`, or `folder offset num_frames label` if `with_offset`.

    multi_label, multi_hot: as in `read_video_list`.
    """
    counts = ["offset", "num_frames"] if with_offset else ["num_frames"]
    labels = Labels(num_classes, multi_label, multi_hot)
    return _read_lists({path: ""}, delimiter, counts, labels)


def read_json(
    path: str,
    *,
    classes: str | None = None,
    multi_label: bool = False,
    multi_hot: bool = False,
    num_classes: int | None = None,
    template: str = "{}.webm",
) -> Records:
    """A JSON list of objects, or an object with such a list as `data_list`.

    An object names its video in `path`, `video`, `filename` or `frame_dir`, else by `template`
    filled with `id`, as in Something-Something. `num_frames` (or `total_frames`) and `offset` are
    optional.

    classes: label map from class names to labels. The name of an object is `template` without
        brackets (Something-Something), else `label`, which may also be a number, or a list if
        `multi_label`.
    multi_hot: the list is a 0 or 1 for each class.
    """
    labels_of = Labels(num_classes, multi_label, multi_hot)
    try:
        template.format("id")
    except (LookupError, ValueError, AttributeError):
        raise ValueError(f"template={template!r} is not like '{{}}.webm'") from None
    content = read_json_file(path)
    entries = content.get("data_list") if isinstance(content, dict) else content
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{path} has no samples; expected a list of objects, or `data_list`")
    names = read_label_map(classes) if classes else None
    numbers = {name: i for i, name in enumerate(names or [])}
    rows = []
    presence = _Presence()
    for position, entry in enumerate(entries):
        try:
            is_labelled = not isinstance(entry, dict) or _label_of(entry) is not None
            rows.append(_json_row(entry, numbers, labels_of, template))
            presence.add(is_labelled, f"entry {position}")
        except ValueError as error:
            shown = json.dumps(entry, ensure_ascii=False)[:_SHOWN]
            raise ValueError(f"{path}: entry {position} of the list: {error}: {shown}") from None
    paths, labels, num_frames, offset = zip(*rows, strict=True)
    records = Records.pack(paths, labels, num_frames, offset)
    records.class_names = names
    if presence.first_without is not None:
        records.unlabelled = f"{path}: {presence.first_without} of the list has no `label`"
    return records


def scan_folders(
    root: str, extensions: Sequence[str] = VIDEO_EXTENSIONS, classes: Sequence[str] | None = None
) -> tuple[Records, list[str]]:
    """The videos of one folder per class, at any depth, with paths relative to `root`.

    Links to folders are followed. Hidden files are left out, and others that are no videos counted
    in `Records.remarks`.

    classes: names in order of label; None takes the sorted names of the folders.
    Returns the records and the names. A class may have no folder; each folder must have a class.
    """
    found = _folder_names(root)
    names = found if classes is None else list(classes)
    unknown = sorted(set(found) - set(names))
    if unknown:
        raise ValueError(
            f"{os.path.join(root, unknown[0])} is not the folder of a known class; "
            + did_you_mean(unknown[0], names)
        )
    endings = tuple(extension.lower() for extension in extensions)
    paths: list[str] = []
    labels: list[int] = []
    left_out = sorted(entry.name for entry in os.scandir(root) if entry.is_file())
    left_out = [file for file in left_out if not file.startswith(".")]
    for label, name in enumerate(names):
        inside = files_below(os.path.join(root, name)) if name in found else []
        files = [os.path.relpath(file, root) for file in inside if not file.name.startswith(".")]
        files.sort()
        videos = [file for file in files if file.lower().endswith(endings)]
        if files and not videos:
            raise ValueError(
                f"{os.path.join(root, name)} has {len(files)} files, but none with the extension "
                f"{_some(endings)}; the first is {files[0]!r}"
            )
        paths += videos
        labels += [label] * len(videos)
        left_out += [file for file in files if not file.lower().endswith(endings)]
    if not paths:
        raise ValueError(f"the folders of {root} contain no videos ({_some(endings)})")
    records = Records.pack(paths, labels)
    records.class_names = names
    if left_out:
        records.remarks = [_what_was_left_out(root, left_out)]
    return records, names


def _some(endings: Sequence[str]) -> str:
    """The first few of several extensions."""
    return ", ".join(endings[:5]) + (" and the like" if len(endings) > 5 else "")


def _what_was_left_out(root: str, files: Sequence[str]) -> str:
    """E.g. `ROOT: 3 files are left out, 2 .txt and 1 .json, such as run/a.txt`."""
    endings = Counter(os.path.splitext(file)[1].lower() or "without ending" for file in files)
    counts = ", ".join(f"{count} {ending}" for ending, count in endings.most_common(5))
    return (
        f"{root}: {len(files)} files are left out, which are no videos in the folder of a class "
        f"({counts}), such as {files[0]}"
    )


def read_class_folders(
    path: str, classes: str | None = None, *, num_classes: int | None = None
) -> Records:
    """The records of `scan_folders`, or of a folder of videos without labels.

    classes: a folder whose sorted subfolders are the classes; None: `path` itself. If they are not
        those of `path`, which holds only files, its videos have no labels.
    """
    names = _folder_names(classes or path)
    if num_classes is not None and len(names) != num_classes:
        raise ValueError(
            f"{classes or path} has {len(names)} folders, one per class, but "
            f"num_classes={num_classes}"
        )
    if classes is not None and _holds_files_only(path):
        return _without_labels(path, names)
    return scan_folders(path, classes=names)[0]


def _holds_files_only(path: str) -> bool:
    if not os.path.isdir(path):
        return False
    kinds = {entry.is_dir() for entry in os.scandir(path) if not entry.name.startswith(".")}
    return kinds == {False}


def _without_labels(path: str, names: Sequence[str]) -> Records:
    """The videos that lie in a folder itself."""
    files = sorted(entry.name for entry in os.scandir(path) if not entry.name.startswith("."))
    videos = [file for file in files if file.lower().endswith(VIDEO_EXTENSIONS)]
    if not videos:
        raise ValueError(
            f"{path} has {len(files)} files, but none with the extension {_some(VIDEO_EXTENSIONS)}"
        )
    records = Records.pack(videos, _NO_LABELS * len(videos))
    records.class_names = names
    records.unlabelled = f"{path} has videos, but no folders of classes"
    if left_out := [file for file in files if file not in set(videos)]:
        records.remarks = [_what_was_left_out(path, left_out)]
    return records


def read_label_map(path: str) -> list[str]:
    """The names of the classes in order of label.

    One name per line, or a number and a name (`1 name`, `1: name` or `1,name`): numbers 1 to K
    without gaps become labels 0 to K - 1, others are the labels, with "" for those in between.
    JSON: a list of names, or an object from names to labels. A header (`id,name`; `name`) is
    skipped. Raises ValueError if two classes have one name or one number.
    """
    names = _names_in(path)
    known = Counter(name for name in names if name)
    if known and (twice := known.most_common(1)[0])[1] > 1:
        raise ValueError(f"{path}: the name {twice[0]!r} is given to {twice[1]} classes")
    return names


def _names_in(path: str) -> list[str]:
    if path.endswith(".json"):
        content = read_json_file(path)
        if isinstance(content, list) and content:
            return [str(name) for name in content]
        if not isinstance(content, dict) or not content:
            raise ValueError(f"{path} has no names; expected a list, or an object of name: label")
        return _in_order(path, [(str(label), name) for name, label in content.items()])
    lines = [line for _, line in numbered_lines(path)]
    header = lines[0].lower().replace(" ", "")
    headers = ("id,name", "name", "action", "class") if path.endswith(".csv") else ("id,name",)
    if header in headers and len(lines) > 1:
        lines = lines[1:]
    numbered = [re.fullmatch(r'(\d+)(?:\s*[,:]\s*|\s+)("?)(.+?)\2', line) for line in lines]
    if not all(numbered):
        return lines
    return _in_order(path, [(match[1], match[3]) for match in numbered if match])


def _read_lists(
    lists: Mapping[str, str],
    delimiter: str,
    counts: list[str],
    labels_of: Labels,
) -> Records:
    """Rows of a path, the numbers named in `counts`, and labels; parsed from the right.

    lists: the files in order, each with the prefix of its paths.
    """
    if not delimiter:
        raise ValueError(
            f"delimiter={delimiter!r} for {', '.join(lists)} is empty; pass ' ', ',', '\\t' ..."
        )
    separator = None if delimiter == " " else delimiter  # None: any run of whitespace
    columns = {name: array("q") for name in counts}
    labels: list[tuple[int, ...]] = []
    label = array("q")
    comments: dict[str, list[int]] = {path: [] for path in lists}
    words = ["path", *counts, "label"] + ["[label ...]"] * labels_of.several
    expected = f"expected {delimiter.join(words)!r} (delimiter={delimiter!r})"
    presence = _Presence()

    def names() -> Iterator[str]:
        rows = ((path, *row) for path in lists for row in numbered_lines(path, comments[path]))
        for path, number, line in rows:
            where = f"{path}:{number}: {line[:_SHOWN]!r}"
            try:
                name, numbers = _split(line, separator, len(counts), labels_of.several)
                given = numbers[len(counts) :]
                presence.add(bool(given), where)
                own = labels_of.of(given) if given else _NO_LABELS
            except ValueError as error:
                raise ValueError(f"{where}: {error}; {expected}") from None
            if labels_of.several:
                labels.append(own if given else ())
            else:
                label.append(own[0])
            for column, value in zip(columns.values(), numbers, strict=False):
                column.append(value)
            yield lists[path] + name

    # The columns fill up while `pack` reads the names: all strings never exist at once.
    packed = labels if labels_of.several else label
    records = Records.pack(names(), packed, columns.get("num_frames"), columns.get("offset"))
    if presence.first_without is not None:
        records.unlabelled = f"{presence.first_without} has no label; {expected}"
    records.remarks = [
        f"{path}: {len(numbers)} lines are comments and left out, such as line {numbers[0]}"
        for path, numbers in comments.items()
        if numbers
    ] or None
    return records


_NO_LABELS = (-1,)  # in place of the label of a sample of an unlabelled list


class _Presence:
    """Whether the samples of a list have labels: all or none of them.

    first_without: place of the first sample if none has any.
    """

    def __init__(self) -> None:
        self._first: tuple[bool, str] | None = None

    @property
    def first_without(self) -> str | None:
        return self._first[1] if self._first is not None and not self._first[0] else None

    def add(self, is_labelled: bool, where: str) -> None:
        """Raise ValueError for a sample that has a label where the first has none, or vice versa.

        where: its place.
        """
        self._first = self._first or (is_labelled, where)
        if is_labelled == self._first[0]:
            return
        if is_labelled:
            raise ValueError(f"it has a label, but {self._first[1]} has none: label all or none")
        raise ValueError("it has no label, unlike those before it: label all or none")


def _split(line: str, separator: str | None, num_counts: int, more: bool) -> tuple[str, list[int]]:
    """The path of a line and the numbers after it: `num_counts`, and a label, or with `more` any
    number of them, if the line is labelled.
    """
    pieces = line.rsplit(separator)
    count = 0
    while count < len(pieces) - 1 and _is_number(pieces[-1 - count].strip()):
        count += 1
    path, *texts = line.rsplit(separator, count)  # which keeps the spaces of the path
    numbers = [int(text) for text in texts]
    if not more and len(numbers) > num_counts + 1:
        raise ValueError(
            f"{len(numbers)} numbers after the path instead of {num_counts + 1}; set multi_label "
            "or with_offset, or use another delimiter for paths that end in a number"
        )
    if not path.strip():
        raise ValueError("it has no path before its numbers")
    if not numbers and (num_counts or not path.strip().lower().endswith(VIDEO_EXTENSIONS)):
        other = re.search(r"([,;|]) *\d+$", line)
        hint = f"; for such a list set data.train.records.delimiter='{other[1]}'" if other else ""
        raise ValueError(f"it has no label, a whole number after the path{hint}")
    if len(numbers) < num_counts:
        raise ValueError(f"{len(numbers)} whole numbers after the path instead of {num_counts}")
    if min(numbers, default=0) < 0:
        raise ValueError(f"{min(numbers)} is negative")
    return _as_path(path.strip()), numbers


def _as_path(text: str) -> str:
    """The text itself. Raises ValueError if no file can have this name."""
    try:
        if b"\0" in text.encode("utf-8", "surrogateescape"):
            raise ValueError(f"the path {text[:_SHOWN]!r} has a null character")
    except UnicodeEncodeError as error:
        raise ValueError(f"the path {text[:_SHOWN]!r} is not text: {error.reason}") from None
    return text


def _doubled(values: Iterable[int]) -> int:
    """The value that is there more than once and seen first; there is one."""
    return Counter(values).most_common(1)[0][0]


def _is_number(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) < 19  # fits int64


def _json_row(
    entry: object,
    numbers: Mapping[str, int],
    labels_of: Labels,
    template: str,
) -> tuple[str, int | tuple[int, ...], int | None, int]:
    """path, label or labels, num_frames and offset of one object."""
    if not isinstance(entry, dict):
        raise ValueError("expected an object")
    paths = [entry[key] for key in _PATH_KEYS if key in entry]
    if not paths and "id" in entry:
        paths = [template.format(entry["id"])]
    if len(paths) != 1 or not isinstance(paths[0], str) or not paths[0]:
        raise ValueError(f"expected one of {', '.join(_PATH_KEYS)} or id, as a string")
    label = _label_of(entry)
    if label is None:
        label = [] if labels_of.several else _NO_LABELS[0]
    elif isinstance(label, list) != labels_of.several:
        raise ValueError(f"label {label!r}, but multi_label is {labels_of.several}")
    labels = [_json_label(one, numbers) for one in (label if isinstance(label, list) else [label])]
    num_frames = entry.get("num_frames", entry.get("total_frames"))
    offset = entry.get("offset", 0)
    for count in (offset, 0 if num_frames is None else num_frames):
        if type(count) is not int or not 0 <= count < 2**62:
            raise ValueError(f"{count!r} is not a number of frames")
    checked = labels_of.of(labels) if _label_of(entry) is not None else tuple(labels)
    return _as_path(paths[0]), checked if labels_of.several else checked[0], num_frames, offset


def _label_of(entry: Mapping[str, Any]) -> Any:
    """What an object gives as its label, of any type; None if it has none."""
    if "template" in entry:
        return str(entry["template"]).replace("[", "").replace("]", "")
    return entry.get("label")


def _json_label(label: object, numbers: Mapping[str, int]) -> int:
    if type(label) is int:
        return label
    if isinstance(label, str) and label in numbers:
        return numbers[label]
    if isinstance(label, str) and not numbers and _is_number(label):
        return int(label)
    if not numbers:
        raise ValueError(f"label {label!r} is not a number; pass `classes`, the label map")
    raise ValueError(
        f"label {label!r} is not in the label map; {did_you_mean(str(label), numbers)}"
    )


def _in_order(path: str, pairs: list[tuple[str, str]]) -> list[str]:
    """Names by label of `(number, name)` pairs; see `read_label_map`."""
    for number, name in pairs:
        if not _is_number(number) or not 0 <= int(number) <= _MAX_LABEL:
            raise ValueError(
                f"{path}: class {name!r} has the label {number[:_SHOWN]!r}, not a whole number up "
                f"to {_MAX_LABEL}"
            )
    by_number = {int(number): name for number, name in pairs}
    if len(by_number) < len(pairs):
        twice = _doubled(int(number) for number, _ in pairs)
        raise ValueError(f"{path}: number {twice} is given to more than one class")
    if sorted(by_number) == list(range(1, len(pairs) + 1)):
        return [by_number[number] for number in sorted(by_number)]
    return [by_number.get(number, "") for number in range(max(by_number) + 1)]


def _folder_names(root: str) -> list[str]:
    if not os.path.isdir(root):
        raise FileNotFoundError(
            f"{root} is not a folder, expected one with a folder a class; {what_is_there(root)}"
        )
    names = sorted(e.name for e in os.scandir(root) if e.is_dir() and not e.name.startswith("."))
    if not names:
        raise ValueError(f"{root} has no folders; expected one a class, with its videos")
    return names
