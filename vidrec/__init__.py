"""Video understanding in PyTorch: recognition, action detection and temporal localization.

    conf = vidrec.compose("model=tsn", "data=kinetics400")
    net = vidrec.build_model(conf)
    net = vidrec.load_model("runs/tsn_tiny_shapes")
    net = vidrec.create_model("slowonly", num_classes=10)

Importing it takes no time: torch and Hydra are imported with the first call.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vidrec.api import (
        ModelDescription,
        build_model,
        compose,
        create_model,
        features,
        list_models,
        load_model,
    )

__version__ = "0.1.0"
__all__ = [
    "ModelDescription",
    "build_model",
    "compose",
    "create_model",
    "features",
    "list_models",
    "load_model",
]


def __getattr__(name: str) -> object:
    if name in __all__:
        from vidrec import api

        return getattr(api, name)
    raise AttributeError(f"module 'vidrec' has no attribute '{name}'")
