"""A checkpoint that describes its network -> the network."""

from collections.abc import Sequence
from pathlib import Path

from vidrec import build
from vidrec.config.schema import ModelConf
from vidrec.config.trust import NETWORKS, PACKAGES, untrusted_targets
from vidrec.inference.network import Network
from vidrec.weights.description import ModelDescription, description_in
from vidrec.weights.load import load_all
from vidrec.weights.run_directory import checkpoint_of_run


def file_of(source: str) -> Path:
    """The checkpoint of a run directory, or `source` itself if it is a file.

    Raises FileNotFoundError if there is none.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        return checkpoint_of_run(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no run directory and no checkpoint {source}")
    return path


def check_trust(description: ModelDescription, file: Path, trust: Sequence[str] = ()) -> None:
    """Raise ValueError if the description names other classes than those of known packages.

    trust: further packages.
    """
    extractor = description.extractor or {}
    networks = {"net": description.net, "extractor": extractor.get("net") or {}}
    reading = {"preprocessing": description.preprocessing, "steps": extractor.get("steps") or {}}
    for tree, packages in ((networks, NETWORKS), (reading, PACKAGES)):
        for problem in untrusted_targets(tree, [*packages, *trust]):
            raise ValueError(f"{file}: {problem}")


def described_network(source: str) -> Network:
    """The network of a run directory or a checkpoint, in evaluation mode on the CPU.

    Raises FileNotFoundError if there is none, ValueError if it has no description, or one that
    names classes of other packages.
    """
    file = file_of(source)
    description = description_in(file)
    if description is None:
        raise ValueError(
            f"{file} does not describe its network, as checkpoints of vidrec do: train it again, "
            "or give another run"
        )
    check_trust(description, file)
    net = build.build_net(ModelConf(net=description.net))
    load_all(net, file)
    return Network(net.eval(), description, str(file))
