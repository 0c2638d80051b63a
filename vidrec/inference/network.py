"""A network with what is known about it: what everything that predicts is made from."""

from dataclasses import dataclass
from typing import Any

import torch

from vidrec.weights.description import ModelDescription


@dataclass(frozen=True)
class Network:
    """net: in evaluation mode. source: the file that it was loaded from, for messages."""

    net: Any  # of the task
    description: ModelDescription
    source: str

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.net.parameters()).device
