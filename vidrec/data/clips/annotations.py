"""List files, JSON files and folders -> `Records`, a packed table of samples. Opens no video.

Labels count from 0. List files are UTF-8; blank lines and lines that begin with `#` are ignored
(write `./#name` for a path that begins with it). Lines are parsed from the right: a path may
contain the delimiter, but must not end in a number that is separated by it. A line that cannot be
parsed raises a ValueError with the file, the line and the expected form.
"""

import json
import os
import re
from array import array
from collections.abc import Iterator, Mapping, Sequence

from vidrec.data.clips.records import Records
from vidrec.data.video.listing import VIDEO_EXTENSIONS
from vidrec.errors import did_you_mean
from vidrec.files.text_files import (
    numbered_lines,
    read_json_file,
    what_is_there,
)

_PATH_KEYS = ("path", "video", "filename", "frame_dir")


def read_video_list(
    path: str | Sequence[str],
    *,
    delimiter: str = " ",
    multi_label: bool = False,
    num_classes: int | None = None,
    folders: Sequence[str] | None = None,
) -> Records:
    """Lines of `path label`, or of `path label label ...` if `multi_label`.

    path: the list, or several to read one after another.
    folders: one for each of several lists, which its paths are relative to.
    """
    paths = [path] if isinstance(path, str) else list(path)
    folders = [""] * len(paths) if folders is None else list(folders)
    if len(folders) != len(paths):
        raise ValueError(f"{len(paths)} lists, but {len(folders)} folders: pass one for each list")
    prefixes = [f"{folder}/" if folder else "" for folder in folders]
    lists = dict(zip(paths, prefixes, strict=True))
    return _read_lists(lists, delimiter, [], multi_label, num_classes)


def read_frame_list(
    path: str,
    *,
    delimiter: str = " ",
    with_offset: bool = False,
    multi_label: bool = False,
    num_classes: int | None = None,
) -> Records:
    """Lines of `folder num_frames label`, or `folder offset num_frames label` if `with_offset`."""
    counts = ["offset", "num_frames"] if with_offset else ["num_frames"]
    return _read_lists({path: ""}, delimiter, counts, multi_label, num_classes)


def read_json(
    path: str,
    *,
    classes: str | None = None,
    multi_label: bool = False,
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
    """
    content = read_json_file(path)
    entries = content.get("data_list") if isinstance(content, dict) else content
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{path} has no samples; expected a list of objects, or `data_list`")
    numbers = {name: i for i, name in enumerate(read_label_map(classes))} if classes else {}
    rows = []
    for position, entry in enumerate(entries):
        try:
            rows.append(_json_row(entry, numbers, multi_label, num_classes, template))
        except ValueError as error:
            shown = json.dumps(entry, ensure_ascii=False)[:200]
            raise ValueError(f"{path}: entry {position} of the list: {error}: {shown}") from None
    paths, labels, num_frames, offset = zip(*rows, strict=True)
    return Records.pack(paths, labels, num_frames, offset)


def scan_folders(
    root: str, extensions: Sequence[str] = VIDEO_EXTENSIONS, classes: Sequence[str] | None = None
) -> tuple[Records, list[str]]:
    """The videos of one folder per class, at any depth, with paths relative to `root`.

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
    for label, name in enumerate(names):
        files = sorted(
            os.path.relpath(os.path.join(folder, file), root)
            for folder, _, files in os.walk(os.path.join(root, name))
            for file in files
            if not file.startswith(".")
        )
        videos = [file for file in files if file.lower().endswith(endings)]
        if files and not videos:
            raise ValueError(
                f"{os.path.join(root, name)} has {len(files)} files, but none with the extension "
                f"{', '.join(endings)}; the first is {files[0]!r}"
            )
        paths += videos
        labels += [label] * len(videos)
    if not paths:
        raise ValueError(f"the folders of {root} contain no videos ({', '.join(endings)})")
    return Records.pack(paths, labels), names


def read_class_folders(
    path: str, classes: str | None = None, *, num_classes: int | None = None
) -> Records:
    """The records of `scan_folders`.

    classes: a folder whose sorted subfolders are the classes; None: `path` itself.
    """
    names = _folder_names(classes or path)
    if num_classes is not None and len(names) != num_classes:
        raise ValueError(
            f"{classes or path} has {len(names)} folders, one per class, but "
            f"num_classes={num_classes}"
        )
    return scan_folders(path, classes=names)[0]


def read_ucf101_list(path: str, classes: str) -> Records:
    """A list of the official UCF101 splits: `Class/video.avi`, in training lists with a label.

    classes: the official classInd.txt. The folder in a path is the class; a label, which counts
        from 1, must agree with it.
    """
    numbers = {name: i for i, name in enumerate(read_label_map(classes))}
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
    return Records.pack(paths, labels)


def read_label_map(path: str) -> list[str]:
    """The names of the classes in order of label.

    One name per line, or a number and a name (`1 name`, `1: name` or `1,name`): numbers 1 to K
    without gaps become labels 0 to K - 1, others are the labels, with "" for those in between.
    JSON: a list of names, or an object from names to labels. A header (`id,name`; `name`) is
    skipped.
    """
    if path.endswith(".json"):
        content = read_json_file(path)
        if isinstance(content, list) and content:
            return [str(name) for name in content]
        if not isinstance(content, dict) or not content:
            raise ValueError(f"{path} has no names; expected a list, or an object of name: label")
        wrong = [name for name, label in content.items() if not str(label).isdecimal()]
        if wrong:
            raise ValueError(f"{path}: class {wrong[0]!r} has the label {content[wrong[0]]!r}")
        return _in_order(path, [(int(label), name) for name, label in content.items()])
    lines = [line for _, line in numbered_lines(path, comments=False)]
    header = lines[0].lower().replace(" ", "")
    headers = ("id,name", "name", "action", "class") if path.endswith(".csv") else ("id,name",)
    if header in headers and len(lines) > 1:
        lines = lines[1:]
    numbered = [re.fullmatch(r'(\d+)(?:\s*[,:]\s*|\s+)("?)(.+?)\2', line) for line in lines]
    if not all(numbered):
        return lines
    return _in_order(path, [(int(match[1]), match[3]) for match in numbered if match])


def _read_lists(
    lists: Mapping[str, str],
    delimiter: str,
    counts: list[str],
    multi_label: bool,
    num_classes: int | None,
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

    def names() -> Iterator[str]:
        rows = ((path, *row) for path in lists for row in numbered_lines(path))
        for path, number, line in rows:
            try:
                name, numbers = _split(line, separator, len(counts) + 1, multi_label)
                own = _checked(numbers[len(counts) :], num_classes)
            except ValueError as error:
                words = ["path", *counts, "label"] + (["[label ...]"] if multi_label else [])
                raise ValueError(
                    f"{path}:{number}: {line!r}: {error}; expected {delimiter.join(words)!r} "
                    f"(delimiter={delimiter!r})"
                ) from None
            if multi_label:
                labels.append(own)
            else:
                label.append(own[0])
            for column, value in zip(columns.values(), numbers, strict=False):
                column.append(value)
            yield lists[path] + name

    # The columns fill up while `pack` reads the names: all strings never exist at once.
    packed = labels if multi_label else label
    return Records.pack(names(), packed, columns.get("num_frames"), columns.get("offset"))


def _split(line: str, separator: str | None, num_numbers: int, more: bool) -> tuple[str, list[int]]:
    """The path of a line and the numbers after it: `num_numbers`, or with `more` at least those."""
    numbers: list[int] = []
    rest = line
    while True:
        pieces = rest.rsplit(separator, 1)
        if len(pieces) < 2 or not _is_number(pieces[1].strip()):
            break
        numbers.append(int(pieces[1]))
        rest = pieces[0]
    if not more and len(numbers) > num_numbers:
        raise ValueError(
            f"{len(numbers)} numbers after the path instead of {num_numbers}; set multi_label or "
            "with_offset, or use another delimiter for paths that end in a number"
        )
    if len(numbers) < num_numbers or not rest.strip():
        raise ValueError(f"{len(numbers)} whole numbers after the path instead of {num_numbers}")
    if min(numbers) < 0:
        raise ValueError(f"{min(numbers)} is negative")
    return rest.strip(), numbers[::-1]


def _checked(labels: list[int], num_classes: int | None) -> tuple[int, ...]:
    """The labels of a row. Raises ValueError if one is out of range."""
    for label in labels:
        if label < 0:
            raise ValueError(f"label {label} is negative, labels count from 0")
        if num_classes is not None and label >= num_classes:
            raise ValueError(
                f"label {label} is not below num_classes={num_classes}, labels count from 0"
            )
    return tuple(labels)


def _is_number(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) < 19  # fits int64


def _json_row(
    entry: object,
    numbers: Mapping[str, int],
    multi_label: bool,
    num_classes: int | None,
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
    label = entry.get("label")
    if "template" in entry:
        label = entry["template"].replace("[", "").replace("]", "")
    if label is None:
        raise ValueError("there is no `label`")
    if isinstance(label, list) != multi_label:
        raise ValueError(f"label {label!r}, but multi_label is {multi_label}")
    labels = [_json_label(one, numbers) for one in (label if multi_label else [label])]
    num_frames = entry.get("num_frames", entry.get("total_frames"))
    offset = entry.get("offset", 0)
    for count in (offset, 0 if num_frames is None else num_frames):
        if type(count) is not int or count < 0:
            raise ValueError(f"{count!r} is not a number of frames")
    checked = _checked(labels, num_classes)
    return paths[0], checked if multi_label else checked[0], num_frames, offset


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


def _in_order(path: str, pairs: list[tuple[int, str]]) -> list[str]:
    """Names by label of `(number, name)` pairs; see `read_label_map`."""
    by_number = dict(pairs)
    if len(by_number) < len(pairs):
        numbers = [number for number, _ in pairs]
        twice = next(number for i, number in enumerate(numbers) if number in numbers[:i])
        raise ValueError(f"{path}: number {twice} is given to more than one class")
    if sorted(by_number) == list(range(1, len(pairs) + 1)):
        return [by_number[number] for number in sorted(by_number)]
    return [by_number.get(number, "") for number in range(max(by_number) + 1)]


def _folder_names(root: str) -> list[str]:
    if not os.path.isdir(root):
        raise FileNotFoundError(f"{root} is not a folder; {what_is_there(root)}")
    names = sorted(e.name for e in os.scandir(root) if e.is_dir() and not e.name.startswith("."))
    if not names:
        raise ValueError(f"{root} has no folders; expected one a class, with its videos")
    return names
