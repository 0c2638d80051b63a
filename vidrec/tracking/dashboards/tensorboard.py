"""A run in TensorBoard: `tensorboard --logdir runs` shows all of them."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vidrec.tracking.dashboards.sender import Row

FOLDER = "tensorboard"


def start(
    folder: Path, config: Mapping[str, object], config_text: str, warn: Callable[[str], None]
) -> "TensorBoard | None":
    """The event files of the run in `folder`; None if the package is missing.

    config: shown as hyperparameters. config_text: shown as text. warn: called with a sentence.
    """
    try:
        import torch.utils.tensorboard  # noqa: F401  takes some seconds
    except ImportError:
        warn(
            "runtime.dashboard=tensorboard needs a package: pip install 'vidrec[tensorboard]'; "
            "the run continues without its dashboard"
        )
        return None
    return TensorBoard(folder / FOLDER, config, config_text)


class TensorBoard:
    """Each process that worked on a run leaves an event file. Steps that a later one repeats are
    purged from the earlier ones.
    """

    def __init__(self, folder: Path, config: Mapping[str, object], config_text: str) -> None:
        self.folder = folder
        self.place = f"tensorboard --logdir {folder.parent.parent}"
        self.step = 0
        self._config = config
        self._text = config_text
        self._writer: Any = None
        self._has_hyperparameters = False

    def rewind(self, step: int, kept: Sequence[Row], validated: bool) -> None:
        self.step = step
        # TensorBoard forgets whole steps only: the rows of `step` that stay are written again.
        again = [] if validated else [row for row in kept if row["step"] == step]
        self._open(purge_step=step if again else step + 1)
        for row in again:
            self.log(row)

    def log(self, row: Row) -> None:
        writer = self._writer or self._open()
        self.step = int(row["step"])
        for name, value in row.items():
            if name != "step":
                writer.add_scalar(name, value, self.step)
        scores = {name: value for name, value in row.items() if name.startswith("val/")}
        if scores and not self._has_hyperparameters:
            self._add_hyperparameters(scores)
        writer.flush()

    def pictures(self, name: str, paths: Sequence[Path], captions: Sequence[str]) -> None:
        from PIL import Image

        for number, path in enumerate(paths):
            with Image.open(path) as image:
                size = image.size
            tag = name if len(paths) == 1 else f"{name}/{number}"
            self._add_image(tag, path.read_bytes(), size)

    def video(self, name: str, path: Path) -> None:
        """As an animated GIF: TensorBoard does not play mp4."""
        import av

        with av.open(str(path)) as container:
            rate = float(container.streams.video[0].average_rate or 1)
            frames = [frame.to_image() for frame in container.decode(video=0)]
        stream = io.BytesIO()
        duration = round(1000 / rate)
        frames[0].save(
            stream, "GIF", save_all=True, append_images=frames[1:], duration=duration, loop=0
        )
        self._add_image(name, stream.getvalue(), frames[0].size)

    def finish(self, exit_code: int) -> None:
        if self._writer is not None:
            self._writer.close()

    def _open(self, purge_step: int | None = None) -> Any:
        from torch.utils.tensorboard import SummaryWriter

        is_new = not any(self.folder.glob("events.*"))
        self._writer = SummaryWriter(str(self.folder), purge_step=None if is_new else purge_step)
        if is_new:
            self._writer.add_text("config", f"```yaml\n{self._text}\n```", 0)
            changes = self._config.get("changes")
            if isinstance(changes, Mapping) and changes:
                lines = [f"| {name} | {change} |" for name, change in changes.items()]
                table = "\n".join(["| key | recipe → here |", "|---|---|", *lines])
                self._writer.add_text("changes", table, 0)
        return self._writer

    def _add_image(self, tag: str, encoded: bytes, size: tuple[int, int]) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        writer = self._writer or self._open()
        width, height = size
        image = Summary.Image(
            height=height, width=width, colorspace=3, encoded_image_string=encoded
        )
        summary = Summary(value=[Summary.Value(tag=tag, image=image)])
        writer.file_writer.add_summary(summary, self.step)
        writer.flush()

    def _add_hyperparameters(self, scores: Mapping[str, float]) -> None:
        """A row in the table that compares runs; its scores are the last values of the curves."""
        from torch.utils.tensorboard.summary import hparams

        for summary in hparams(flat(self._config), dict(scores)):
            self._writer.file_writer.add_summary(summary)
        self._has_hyperparameters = True


def flat(config: Mapping[str, object], prefix: str = "") -> dict[str, str | float | bool]:
    """The values of nested mappings under dotted names; other than numbers and texts as JSON.

    >>> flat({"model": {"depth": 18, "sizes": [1, 2]}})
    {'model.depth': 18, 'model.sizes': '[1, 2]'}
    """
    values: dict[str, str | float | bool] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            values |= flat(value, f"{prefix}{name}.")
        elif isinstance(value, str | int | float):
            values[f"{prefix}{name}"] = value
        else:
            values[f"{prefix}{name}"] = json.dumps(value)
    return values
