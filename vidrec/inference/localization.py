"""Segments of videos that show an action, from features of their windows."""

import numpy as np
import torch

from vidrec import build
from vidrec.data.collate import to_device
from vidrec.data.segments.annotations import FEATURE_INTERVAL, times_of
from vidrec.data.segments.dataset import ActivityNetDataset
from vidrec.data.segments.features import GivenFeatures
from vidrec.data.segments.records import SegmentRecord, SegmentRecords
from vidrec.data.video.decoder import VideoError
from vidrec.engine.setup import channels_last
from vidrec.inference.loading import described_network
from vidrec.inference.network import Network
from vidrec.inference.options import Options
from vidrec.inference.prediction import Prediction
from vidrec.inference.recognition import RecognitionPredictor
from vidrec.inference.result import ScoredClass, Segment
from vidrec.inference.video_features import VideoFeatures, feature_source
from vidrec.metrics.prediction_rows import PredictionRows
from vidrec.metrics.segment_results import joined
from vidrec.models.localizer import PEM

CLASSES = 2  # of a video that each of its segments gets, as in the published protocol


class LocalizationPredictor:
    """The same segments as in an evaluation on features that were extracted in the same way.

    With a classifier each proposal becomes a segment of every one of the video's best two classes,
    its score multiplied by theirs (Lin et al., ICCV 2019, section 4.3), as `SegmentMAP` scores it.

    A video is one sequence, resampled to the length that the network expects, or overlapping ones
    (`data.windows` of its training). Raises ValueError if the network does not find segments, or if
    its features cannot be extracted.
    """

    def __init__(self, network: Network, options: Options) -> None:
        if isinstance(network.net, PEM):
            raise ValueError(
                f"{network.source} scores proposals of BSN's first network, it finds none: predict "
                "with a run of model=bsn_tem or model=bmn, or score files of `vidrec proposals` "
                "with python evaluate.py"
            )
        channels_last(network.net)
        self.network = network
        self.options = options
        reading = build.build_reading(network.description)
        self.feature_interval = int(reading.pop("feature_interval", FEATURE_INTERVAL))
        self.merge = reading.pop("merge", None)
        self.reading = reading | {"resize": reading.get("windows") is None}
        self.features = feature_source(network, options)
        self.classify = None if options.classifier is None else _classifier(network, options)

    @torch.inference_mode()
    def __call__(self, video: str) -> Prediction:
        found = self.features(video)
        self._check(video, found)
        duration, span, result_span = times_of(video, found.measures, self.feature_interval)
        none = np.zeros((0, 2)), np.zeros(0, np.int64)
        record = SegmentRecord(video, duration, span, result_span, *none)
        records = SegmentRecords.pack([record], [])
        dataset = ActivityNetDataset(records, GivenFeatures({video: found.feature}), **self.reading)
        segments, scores = self._segments(dataset)
        num, top_k = len(dataset), self.network.net.nms.top_k
        return Prediction(
            video=video,
            model=self.network.source,
            task="localization",
            protocol=(
                f"at most {top_k} segments per sequence, {num} sequence{'s' * (num != 1)} of "
                f"{dataset.temporal_dim}, {self.features.how}"
            ),
            duration=duration,
            segments=self._named(video, segments, scores),
        )

    def _check(self, video: str, found: VideoFeatures) -> None:
        length, channels = found.feature.shape
        if channels != self.reading["feat_dim"]:
            raise ValueError(
                f"{self.network.source} expects features of {self.reading['feat_dim']} channels, "
                f"but those of {video} have {channels}: they are another network's "
                f"({self.features.how})"
            )
        if length == 1 and self.reading["resize"] and self.reading["temporal_dim"] > 1:
            raise VideoError(
                f"{video}: too short, it has a single feature where a sequence of "
                f"{self.reading['temporal_dim']} is expected"
            )

    def _segments(self, dataset: ActivityNetDataset) -> tuple[np.ndarray, np.ndarray]:
        """The segments (P, 2) of all sequences and their scores (P,), best first."""
        size, device = self.options.batch_size, self.network.device
        none = np.zeros(0, np.int64)
        rows = PredictionRows(
            row=none, segments=np.zeros((0, 0, 2)), scores=np.zeros((0, 0)), count=none
        )
        for start in range(0, len(dataset), size):
            samples = [dataset[i] for i in range(start, min(start + size, len(dataset)))]
            batch = dataset.collate(samples)
            predictions = self.network.net.predict(to_device(batch, device))
            wanted = {name: predictions[name] for name in ("segments", "scores", "count")}
            rows.keep(row=batch["row"], **wanted)
        detections = joined(rows.rows, self.merge)
        return detections.segments, detections.scores

    def _named(self, video: str, segments: np.ndarray, scores: np.ndarray) -> list[Segment]:
        """All that are scored high enough, best first."""
        classes: list[ScoredClass] = []
        if self.classify is not None:
            classes = self.classify(video).topk
        pairs = list(zip(segments.tolist(), scores.tolist(), strict=True))
        found = [
            Segment(start, end, score * best.score, best.name)
            for (start, end), score in pairs
            for best in classes
        ] or [Segment(start, end, score) for (start, end), score in pairs]
        least = self.options.min_score
        found = [s for s in found if least is None or s.score >= least]
        return sorted(found, key=lambda segment: -segment.score)


def _classifier(network: Network, options: Options) -> RecognitionPredictor:
    """What gives the best classes of a video. Raises ValueError if it is of another task."""
    assert options.classifier is not None
    classifier = described_network(options.classifier)
    if classifier.description.task != "recognition":
        raise ValueError(
            f"classifier={options.classifier} is a network for {classifier.description.task}: "
            "give a run of a recognition model"
        )
    channels_last(classifier.net.to(network.device))
    return RecognitionPredictor(classifier, Options(topk=CLASSES, batch_size=options.batch_size))
