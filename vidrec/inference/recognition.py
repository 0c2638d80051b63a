"""Actions of whole videos, by the views of an evaluation."""

import torch

from vidrec import build
from vidrec.data.clips.dataset import VideoDataset
from vidrec.data.clips.records import Records
from vidrec.data.collate import to_device
from vidrec.inference.network import Network
from vidrec.inference.options import Options
from vidrec.inference.prediction import Prediction, best_classes
from vidrec.tasks import recognition


class RecognitionPredictor:
    """Scores of a video from the same views as in an evaluation, so that they are the same."""

    def __init__(self, network: Network, options: Options) -> None:
        self.network = network
        self.options = options
        self.reading = build.build_reading(network.description)

    @torch.inference_mode()
    def __call__(self, video: str) -> Prediction:
        dataset = VideoDataset(Records.pack([video], [0]), **self.reading)
        batch = dataset.collate([dataset[0]])
        scores = self.network.net.predict(to_device(batch, self.network.device))["scores"]
        row = scores[0].float().cpu().numpy()
        return Prediction(
            video=video,
            model=self.network.source,
            task="recognition",
            protocol=recognition.protocol(dataset, self.network.net, 1),
            topk=best_classes(row, self.network.description.class_names, self.options.topk),
            scores=row,
        )
