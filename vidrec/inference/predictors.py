"""What predicts for each task."""

from collections.abc import Callable
from typing import Protocol

from vidrec.inference.detection import DetectionPredictor
from vidrec.inference.localization import LocalizationPredictor
from vidrec.inference.network import Network
from vidrec.inference.options import Options
from vidrec.inference.prediction import Prediction
from vidrec.inference.recognition import RecognitionPredictor


class Predictor(Protocol):
    """Made once for a network and its options, then called for one video after the other."""

    def __call__(self, video: str) -> Prediction:
        """The result for a file. Raises VideoError if it cannot be read."""


PREDICTORS: dict[str, Callable[[Network, Options], Predictor]] = {
    "recognition": RecognitionPredictor,
    "detection": DetectionPredictor,
    "localization": LocalizationPredictor,
}


def predictor_of(network: Network, options: Options) -> Predictor:
    """The predictor of the network's task."""
    return PREDICTORS[network.description.task](network, options)
