"""What a checkpoint says about its network: how it is built and how it is to be used."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path

from vidrec.config.schema import Node
from vidrec.files.checkpoint_files import open_checkpoint


@dataclass(frozen=True)
class ModelDescription:
    """How a trained network is to be used; checkpoints hold it as plain values."""

    version: str  # of vidrec
    task: str
    net: Node  # the node it was built from
    clip: Node  # `model.clip`; empty if the network takes no clips
    preprocessing: Node  # how the samples of a test are made: `sampling`, `steps`, ...
    class_names: list[str]
    data: str  # name of the dataset it was trained on
    # Of a localizer, what its features were extracted with: the settings of `vidrec extract`.
    extractor: Node | None = None


def description_in(file: Path) -> ModelDescription | None:
    """The description in a checkpoint; None if it has none.

    Raises FileNotFoundError if there is no file, ValueError if the description lacks something.
    """
    if not file.is_file():
        raise FileNotFoundError(f"there is no checkpoint {file}")
    content = open_checkpoint(file)
    about = content.get("about") if isinstance(content, Mapping) else None
    if not isinstance(about, Mapping):
        return None
    known = fields(ModelDescription)
    if missing := [f.name for f in known if f.default is MISSING and f.name not in about]:
        raise ValueError(f"the description of the network in {file} lacks {', '.join(missing)}")
    return ModelDescription(**{f.name: about[f.name] for f in known if f.name in about})


def trained_classes(checkpoint: str) -> list[str] | None:
    """Class names of the data that a checkpoint was trained on; None if it does not tell."""
    path = Path(checkpoint)
    description = description_in(path) if path.is_file() else None
    return description.class_names if description else None
