"""Names of the classes that a network tells apart."""

from vidrec.data.clips.annotations import read_label_map
from vidrec.weights.description import ModelDescription


def class_names(description: ModelDescription, file: str | None = None) -> list[str]:
    """The name of each class: of the file if there is one, else of the checkpoint, else numbers.

    file: a label map, see `read_label_map`. Raises ValueError if it has not one name per class.
    """
    names = description.class_names
    num_classes = int(description.preprocessing.get("num_classes") or len(names))
    if file is None:
        return names if len(names) == num_classes else [str(n) for n in range(num_classes)]
    names = read_label_map(file)
    if len(names) != num_classes:
        raise ValueError(
            f"names={file} has {len(names)} names, but the network has {num_classes} classes"
        )
    return [name or str(number) for number, name in enumerate(names)]
