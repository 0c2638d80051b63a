"""The Hydra tree: where it lies, its schemas and resolvers.

Imports nothing heavy, so that `--help` and `--cfg job` answer at once.
"""

import typing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.default_element import ResultDefault
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from vidrec.config.example_data import example_folder
from vidrec.config.run_name import run_name
from vidrec.config.schema import (
    BankConf,
    BoxDataConf,
    ClipDataConf,
    DetectorConf,
    EvaluateConf,
    ExportConf,
    ExtractConf,
    FeatureDataConf,
    LocalizerConf,
    ProposalDataConf,
    ProposalsConf,
    RecognizerConf,
    TrainConf,
)
from vidrec.files.text_files import what_is_there

# Name in a file's defaults -> dataclass. Those of commands are taken by conf/train.yaml and the
# like, the others by the primitive files of conf/model and conf/data, as `- /NAME@_here_`.
SCHEMAS = {
    "train_schema": TrainConf,
    "evaluate_schema": EvaluateConf,
    "export_schema": ExportConf,
    "proposals_schema": ProposalsConf,
    "extract_schema": ExtractConf,
    "bank_schema": BankConf,
    "recognizer_schema": RecognizerConf,
    "detector_schema": DetectorConf,
    "localizer_schema": LocalizerConf,
    "clip_data_schema": ClipDataConf,
    "box_data_schema": BoxDataConf,
    "feature_data_schema": FeatureDataConf,
    "proposal_data_schema": ProposalDataConf,
}


def conf_dir() -> str:
    """The folder of the Hydra tree: inside an installed package, beside it in a checkout."""
    inside = Path(__file__).parents[1] / "conf"
    return str(inside if inside.is_dir() else inside.parent.parent / "conf")


def groups(folders: Sequence[Path]) -> list[str]:
    """The groups in folders of configurations, such as `data` and `data/sampling`."""
    found = (p.relative_to(root) for root in folders for p in root.rglob("*") if p.is_dir())
    return sorted(set(map(str, found)))


def current_overrides() -> list[str]:
    """The arguments that Hydra composed the configuration of this command from.

    Without the `++` that Hydra was given (`vidrec.config.overrides.lenient`). Their `${...}` are
    not resolved: what they refer to may not exist.
    """
    given = OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)
    return [override.removeprefix("++") for override in typing.cast(list[str], given)]


@contextmanager
def hydra_tree() -> Iterator[None]:
    """Let Hydra compose from the tree, whatever Hydra program may be calling."""
    state = Singleton.get_state()
    try:
        GlobalHydra.instance().clear()
        with hydra.initialize_config_dir(conf_dir(), version_base="1.3"):
            yield
    finally:
        Singleton.set_state(state)


def composed(config_name: str, overrides: Sequence[str], *, with_hydra: bool = False) -> DictConfig:
    """The configuration that Hydra composes from overrides.

    with_hydra: with its own node. Raises HydraException.
    """
    with hydra_tree():
        return hydra.compose(config_name, list(overrides), return_hydra_config=with_hydra)


def chosen_files(config_name: str, overrides: Sequence[str]) -> Sequence[ResultDefault]:
    """The files that a configuration is composed of, in order."""
    with hydra_tree():
        loader = GlobalHydra.instance().config_loader()
        return loader.compute_defaults_list(config_name, list(overrides), RunMode.RUN).defaults


def _current_run_name() -> str:
    runtime = HydraConfig.get().runtime
    folders = [Path(source.path) for source in runtime.config_sources if source.schema == "file"]
    return run_name(dict(runtime.choices), current_overrides(), folders)


def _sweep_group() -> str | None:
    """The name of the sweep that this run belongs to."""
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return None
    return Path(HydraConfig.get().sweep.dir).name


def _num_folders(root: str) -> int:
    """The number of classes: folders in `root`, which is `${data.root}/train`."""
    path = Path(root)
    if not path.is_dir():
        raise FileNotFoundError(
            f"data.root={path.parent}: {root} does not exist, {what_is_there(root)}; data.root is "
            "the folder that holds train/CLASS/*.mp4 and val/CLASS/*.mp4"
        )
    folders = [one for one in path.iterdir() if one.is_dir() and not one.name.startswith(".")]
    if not folders:
        raise FileNotFoundError(
            f"data.root={path.parent}: {root} has no folders, expected one a class with its videos"
        )
    return len(folders)


def register() -> None:
    """Make the schemas and resolvers known to Hydra."""
    store = ConfigStore.instance()
    for name, node in SCHEMAS.items():
        if f"{name}.yaml" not in store.repo:  # storing takes a sixth of the time of composing
            store.store(name=name, node=node)
    OmegaConf.register_new_resolver("run_name", _current_run_name, replace=True)
    OmegaConf.register_new_resolver("sweep_group", _sweep_group, replace=True)
    OmegaConf.register_new_resolver("example_folder", example_folder, replace=True)
    OmegaConf.register_new_resolver("num_folders", _num_folders, replace=True)
    OmegaConf.register_new_resolver("either", lambda a, b, c: b if a else c, replace=True)
    OmegaConf.register_new_resolver("mul", lambda a, b: a * b, replace=True)
