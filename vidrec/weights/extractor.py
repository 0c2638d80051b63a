"""What features were extracted with: enough to extract the same ones from other videos."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from vidrec.config.schema import Node
from vidrec.files.output_folder import marked

_TRANSFORMS = "data.transforms."


@dataclass(frozen=True)
class Extractor:
    """A recognition network and the windows that it saw.

    weights: their hash, see `digest_of`. net: the node that the network is built from. crops: which
    of its data's views, `val` or `test`; steps: their transforms. window, stride, frames: see
    `vidrec.inference.feature_windows.Windows`. checkpoint: the file of the weights, or zoo://NAME;
    None if it is not known. The features do not depend on where it is.
    """

    weights: str
    net: Node
    crops: str
    steps: Node
    window: int
    stride: int
    frames: int
    precision: str
    checkpoint: str | None = None

    @property
    def settings(self) -> dict[str, str]:
        """What features depend on besides the video, by name."""
        return {
            "command": "vidrec extract",
            "weights": self.weights,
            "model.net": json.dumps(self.net, sort_keys=True),
            f"{_TRANSFORMS}{self.crops}": json.dumps(self.steps),  # in their order
            "window": str(self.window),
            "stride": str(self.stride),
            "frames": str(self.frames),
            "precision": self.precision,
        }

    @property
    def notes(self) -> dict[str, str]:
        """Where to find the weights again."""
        return {} if self.checkpoint is None else {"checkpoint": self.checkpoint}

    @property
    def values(self) -> Node:
        """The fields as plain values, for a checkpoint."""
        return asdict(self)

    @classmethod
    def of_values(cls, values: Mapping[str, object], where: str) -> "Extractor":
        """The extractor that a checkpoint describes. Raises ValueError if it cannot be one."""
        names = {field.name for field in fields(cls)}
        counts = [values.get(name) for name in ("window", "stride", "frames")]
        nodes = [values.get(name) for name in ("net", "steps")]
        if not (
            set(values) == names
            and all(isinstance(count, int) and count > 0 for count in counts)
            and all(isinstance(node, Mapping) for node in nodes)
        ):
            raise ValueError(f"{where} does not describe the network that extracted its features")
        return cls(**values)  # type: ignore[arg-type]


def lasting(checkpoint: str) -> str:
    """A checkpoint as it is still found from another working directory."""
    return checkpoint if "://" in checkpoint else os.path.abspath(os.path.expanduser(checkpoint))


def extractor_of(folder: str | os.PathLike[str]) -> Extractor | None:
    """What the features in a folder were extracted with; None if vidrec did not write them."""
    found = marked(Path(folder))
    if found is None:
        return None
    settings, notes = found
    crops = [n.removeprefix(_TRANSFORMS) for n in settings if n.startswith(_TRANSFORMS)]
    try:
        return Extractor(
            weights=settings["weights"],
            net=json.loads(settings["model.net"]),
            crops=crops[0],
            steps=json.loads(settings[f"{_TRANSFORMS}{crops[0]}"]),
            window=int(settings["window"]),
            stride=int(settings["stride"]),
            frames=int(settings["frames"]),
            precision=settings["precision"],
            checkpoint=notes.get("checkpoint"),
        )
    except (LookupError, ValueError, TypeError):  # of another command, or edited
        return None
