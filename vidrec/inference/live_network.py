"""A recognition network on the parts of a live stream."""

import numpy as np
import torch

from vidrec.data.video.stream import FrameStream
from vidrec.inference.frames import clip_shape
from vidrec.inference.live_parts import LivePart, LiveParts, spans_of_frames
from vidrec.inference.network import Network
from vidrec.inference.options import Options
from vidrec.inference.recognition import RecognitionPredictor, mean_of_views
from vidrec.inference.result import ScoredClass, best_classes
from vidrec.inference.windows import spans_of_windows
from vidrec.models.online_tsm import OnlineTSM
from vidrec.models.recognizer import average_views


class LiveNetwork:
    """Makes parts of a stream and classifies them, as `RecognitionPredictor` does with `every`.

    A unidirectional TSM takes frame after frame of a clip of `every` seconds, and has a label for
    each. says: what it does.

    Raises ValueError if the network has another task, or takes no frames.
    """

    def __init__(self, network: Network, options: Options) -> None:
        task = network.description.task
        if task != "recognition":
            raise ValueError(
                f"{network.source} is a network for {task}: live predictions are those of "
                "recognition; record the video and predict on the file"
            )
        assert options.every is not None
        self._network = network
        self._every = options.every
        self._topk = options.topk
        self._recognition = RecognitionPredictor(network, options)
        self._online = _online_form_of(network)
        self._opened = -1.0
        per_second = clip_shape(network.description).num_frames / self._every
        self.says = (
            f"{per_second:g} frames and labels per second, each of the last {self._every:g} s"
            if self._online
            else f"a label for every {self._every:g} s"
        )

    def parts_of(self, stream: FrameStream, opened: float) -> LiveParts:
        """What cuts the parts of a stream that was opened so many seconds after the start."""
        clip, cut = self._recognition.clip_times(stream), self._recognition.cutter(stream)
        if self._online:
            return LiveParts(spans_of_frames(clip), cut, opened)
        spans = spans_of_windows(clip, self._every, stream.duration)
        return LiveParts(spans, cut, opened)

    def __call__(self, part: LivePart) -> list[ScoredClass]:
        """The best classes of a part."""
        if self._online is None:
            scores = self._recognition.score(part.clips).mean(axis=0)
        else:
            scores = self._score_frame(self._online, part)
        return best_classes(scores, self._recognition.names, self._topk)

    def _score_frame(self, online: OnlineTSM, part: LivePart) -> np.ndarray:
        """Scores (K,) after one more frame, averaged as those of a view of a clip."""
        if part.opened != self._opened:  # what was before has nothing to do with it
            online.reset()
            self._opened = part.opened
        frame = torch.from_numpy(self._recognition.finish(part.clips)[:, 0])
        views = online.step(frame.to(self._network.device))[:, None].float()
        average = self._network.net.average_clips
        joint = getattr(self._network.net.cls_head, "joint_views", False)
        return mean_of_views(average_views(views, average, joint))[0]


def _online_form_of(network: Network) -> OnlineTSM | None:
    """None for a network that needs the frames of a clip together."""
    try:
        return OnlineTSM(network.net)
    except ValueError:
        return None
