"""A trained network as people use it: on files, on frames, and for features."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vidrec.inference import predictors
from vidrec.inference.network import Network
from vidrec.inference.options import Options
from vidrec.inference.prediction import Prediction
from vidrec.weights.description import ModelDescription


class TrainedModel(nn.Module):
    """A network in evaluation mode with the description of its checkpoint.

    net: the plain network. description: how it is to be used. source: the file it was loaded from.
    """

    def __init__(self, net: nn.Module, description: ModelDescription, source: str) -> None:
        super().__init__()
        self.net = net.eval()
        self.description = description
        self.source = source

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.net.parameters()).device

    def predict(self, video: str | Path, **options: Any) -> Prediction:
        """What the network says about a video file.

        options: fields of `vidrec.inference.options.Options`. Raises VideoError if the file cannot
        be read.
        """
        network = Network(self.net, self.description, self.source)
        return predictors.predictor_of(network, Options(**options))(str(video))

    def forward(self, batch: Any) -> dict[str, Tensor]:
        """The outputs of the network for a batch."""
        return self.net(batch)
