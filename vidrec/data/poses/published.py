"""Published key points of whole data sets: `{'split': ..., 'annotations': ...}` in a pickle.

This is the form of PYSKL and MMAction2: `split` has lists of clips by name, `annotations` a
dictionary for each clip, see `PoseClip`. No code in the pickle is run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np

from vidrec.data.poses.joints import Joints
from vidrec.errors import did_you_mean
from vidrec.files import safe_pickle
from vidrec.files.text_files import check_file, shown

NEEDED = ("frame_dir", "label", "keypoint")


@dataclass(frozen=True, eq=False)
class PoseClip:
    """A clip: M persons, T frames, J joints, C = 2 or 3 coordinates.

    name: `frame_dir`, which is unique in its file. label: class number.
    keypoint: (M, T, J, C), in pixels if C is 2. score: (M, T, J) in [0, 1]; None in 3D.
    size: (height, width) of the frames in pixels, `img_shape`; None if the file has none.
    """

    name: str
    label: int
    keypoint: np.ndarray
    score: np.ndarray | None = None
    size: tuple[int, int] | None = None


def read_published(
    path: str,
    joints: Joints,
    split: str | None = None,
    num_classes: int | None = None,
    max_score: float = 1.0,
) -> list[PoseClip]:
    """The clips of a split in the order of the split; all in the order of the file without one.

    num_classes: labels are below it. max_score: scores are in [0, max_score]; some networks that
    estimate poses go a little beyond 1.

    Raises ValueError with the file, the clip and, where there is one, the frame.
    """
    content = _content(path)
    annotations = content["annotations"]
    by_name: dict[str, Mapping[str, Any]] = {}
    for number, annotation in enumerate(annotations):
        if not isinstance(annotation, Mapping):
            raise ValueError(
                f"{path}: annotation {number} is a {type(annotation).__name__}, not a dictionary"
            )
        missing = [key for key in NEEDED if key not in annotation]
        if missing:
            raise ValueError(f"{path}: annotation {number} has no '{missing[0]}'")
        name = str(annotation["frame_dir"])
        if name in by_name:
            raise ValueError(f"{path}: the clip {shown(name)} is annotated twice")
        by_name[name] = annotation
    names = list(by_name) if split is None else _clips_of(path, content.get("split"), split)
    absent = [name for name in names if name not in by_name]
    if absent:
        raise ValueError(
            f"{path}: split '{split}' has {len(absent)} clips without an annotation, the first is "
            f"{shown(absent[0])}"
        )
    return [
        _clip(f"{path}: clip {shown(name)}", by_name[name], joints, num_classes, max_score)
        for name in names
    ]


def _content(path: str) -> Mapping[str, Any]:
    check_file(path)
    with open(path, "rb") as file:
        try:
            content = safe_pickle.load(file)
        except safe_pickle.UnsafePickle as error:
            raise ValueError(
                f"{path} contains {error}, which is not data, and is refused; a file of key points "
                "is a dictionary of arrays"
            ) from None
        except Exception as error:  # damaged files can fail anywhere in the reader
            first_line = (str(error).splitlines() or [""])[0][:200]
            raise ValueError(f"{path} is not a pickle of key points: {first_line}") from None
    if not isinstance(content, Mapping) or not isinstance(content.get("annotations"), list):
        raise ValueError(
            f"{path} is not a dictionary {{'split': ..., 'annotations': [...]}} of key points"
        )
    return content


def _clips_of(path: str, splits: object, split: str) -> list[str]:
    if not isinstance(splits, Mapping):
        raise ValueError(f"{path} has no splits; leave split out to use all clips")
    if split not in splits:
        raise ValueError(f"{path} has no split '{split}'; {did_you_mean(split, splits)}")
    names = splits[split]
    if not isinstance(names, (list, tuple)) or not names:
        raise ValueError(f"{path}: split '{split}' is not a list of clips")
    return [str(name) for name in names]


def _clip(
    place: str,
    annotation: Mapping[str, Any],
    joints: Joints,
    num_classes: int | None,
    max_score: float,
) -> PoseClip:
    keypoint = _keypoint(place, annotation, joints)
    return PoseClip(
        str(annotation["frame_dir"]),
        _label(place, annotation["label"], num_classes),
        keypoint,
        _score(place, annotation.get("keypoint_score"), keypoint, max_score),
        _size(place, annotation.get("img_shape")),
    )


def _label(place: str, label: object, num_classes: int | None) -> int:
    if isinstance(label, bool) or not isinstance(label, (int, np.integer)):
        raise ValueError(f"{place}: label {label!r} is not a class number")
    if label < 0 or (num_classes is not None and label >= num_classes):
        known = "0 or above" if num_classes is None else f"0 to {num_classes - 1}"
        raise ValueError(f"{place}: label {label} is not a class; classes are {known}")
    return int(label)


def _keypoint(place: str, annotation: Mapping[str, Any], joints: Joints) -> np.ndarray:
    keypoint = annotation["keypoint"]
    if not _is_numbers(keypoint) or keypoint.ndim != 4 or keypoint.shape[-1] not in (2, 3):
        raise ValueError(
            f"{place}: keypoint is {_described(keypoint)}, not an array of numbers (persons, "
            "frames, joints, 2 or 3)"
        )
    num_persons, num_frames, num_joints, _ = keypoint.shape
    if num_joints != len(joints):
        raise ValueError(
            f"{place}: keypoint has {num_joints} joints, the layout has {len(joints)}; choose the "
            "layout of this file"
        )
    if not num_persons or not num_frames:
        missing = "frames" if num_persons else "persons"
        raise ValueError(f"{place}: keypoint has no {missing}")
    total = annotation.get("total_frames", num_frames)
    if not isinstance(total, (int, np.integer)):
        raise ValueError(f"{place}: total_frames is {_described(total)}, not a number of frames")
    if total != num_frames:
        raise ValueError(f"{place}: total_frames is {total}, but keypoint has {num_frames} frames")
    _check_finite(place, "keypoint", keypoint)
    return np.asarray(keypoint)  # of numpy's own class


def _score(place: str, score: object, keypoint: np.ndarray, max_score: float) -> np.ndarray | None:
    if score is None:
        return None
    if not _is_numbers(score) or score.shape != keypoint.shape[:3]:
        raise ValueError(
            f"{place}: keypoint_score is {_described(score)}, not an array of numbers "
            f"{keypoint.shape[:3]} as keypoint"
        )
    if keypoint.shape[-1] != 2:
        raise ValueError(f"{place}: keypoint_score is of 2D key points, but keypoint is 3D")
    _check_finite(place, "keypoint_score", score)
    outside = (score < 0) | (score > max_score)
    if outside.any():
        person, frame, joint = (int(number) for number in np.argwhere(outside)[0])
        raise ValueError(
            f"{place}, frame {frame}: the score of person {person}, joint {joint} is "
            f"{score[person, frame, joint]:g}, outside [0, {max_score:g}]"
        )
    return np.asarray(score)


def _size(place: str, size: object) -> tuple[int, int] | None:
    if size is None:
        return None
    numbers = list(size) if isinstance(size, (list, tuple, np.ndarray)) else []
    whole = all(isinstance(n, (int, np.integer)) and n > 0 for n in numbers)
    if len(numbers) != 2 or not whole:
        raise ValueError(f"{place}: img_shape is {size!r}, not (height, width) in pixels")
    return int(numbers[0]), int(numbers[1])


def _check_finite(place: str, name: str, values: np.ndarray) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        person, frame, joint = (int(number) for number in np.argwhere(~finite)[0][:3])
        raise ValueError(
            f"{place}, frame {frame}: {name} of person {person}, joint {joint} is not finite"
        )


def _is_numbers(value: object) -> TypeGuard[np.ndarray]:
    return isinstance(value, np.ndarray) and value.dtype.kind in "fiu"


def _described(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    return f"a {type(value).__name__}"
