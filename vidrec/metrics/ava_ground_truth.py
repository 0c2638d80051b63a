"""The ground truth of `BoxRecords` in the form that detections are compared with."""

import numpy as np

from vidrec.data.boxes.keys import EXCLUDED, KeyFrameNumbers, parse_key
from vidrec.data.boxes.records import BoxRecords
from vidrec.metrics.box_matching import BoxedActions


def true_actions(records: BoxRecords, actions: np.ndarray) -> BoxedActions:
    """Every true box of the given actions (ids), once for each of its actions."""
    box, frame = records.labels.row_of_value, records.boxes.row_of_value
    of_column = np.full(records.num_classes, -1)
    for action, column in records.columns.items():
        of_column[column] = action
    ids = of_column[records.labels.values]
    kept = np.isin(ids, actions)
    return BoxedActions(frame[box][kept], as_decimals(records.boxes.values)[box][kept], ids[kept])


def rows_of_key_frames(records: BoxRecords, names: list[str]) -> np.ndarray:
    """Rows of the records by `VIDEO,TIMESTAMP`; EXCLUDED, or numbers past them for unknown ones.

    Raises ValueError if a name is not of this form.
    """
    videos = (records.videos[video] for video in records.video.tolist())
    numbers = KeyFrameNumbers(zip(videos, records.timestamps.tolist(), strict=True))
    excluded = KeyFrameNumbers(records.excluded)
    rows = np.empty(len(names), np.int64)
    for i, name in enumerate(names):
        frame = parse_key(name)
        if frame is None:
            raise ValueError(f"{name!r} is not a key frame; write VIDEO,TIMESTAMP")
        rows[i] = EXCLUDED if excluded.find(*frame) is not None else numbers.add(*frame)
    return rows


def as_decimals(boxes: np.ndarray) -> np.ndarray:
    """float32 boxes as the decimals that they were read from, in float64.

    So an IoU at the threshold is that of the numbers in the files.
    """
    return boxes.astype(np.float64).round(7)
