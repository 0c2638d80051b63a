"""Parts such as users bring: complete ones, and some that lack something."""

from torch import nn

OWN = __name__


class Loss:
    def __init__(self, weight=1.0):
        self.weight = weight

    def __call__(self, outputs, batch):
        raise NotImplementedError


class Network(nn.Module):
    def __init__(self, width=1):
        super().__init__()

    def forward(self, batch):
        raise NotImplementedError

    def predict(self, batch):
        raise NotImplementedError


class Backbone(nn.Module):
    def __init__(self, width=1):
        super().__init__()

    def forward(self, frames):
        raise NotImplementedError


class Score:
    key = "score"

    def __init__(self):
        self.higher_is_better = True
        self.rows = {}

    def reset(self):
        raise NotImplementedError

    def update(self, predictions, batch):
        raise NotImplementedError

    def compute(self, rows):
        raise NotImplementedError


class Dataset:
    def __init__(self, size=1):
        self.size = size

    def __len__(self):
        return self.size

    def __getitem__(self, key):
        raise NotImplementedError

    @staticmethod
    def collate(samples):
        raise NotImplementedError


class Shift:
    def __call__(self, frames, rng):
        raise NotImplementedError


class Mixing:
    def __init__(self):
        self.num_classes = 8

    def __call__(self, batch):
        raise NotImplementedError


class Sampling:
    clip_len = 4
    frame_interval = None
    num_views = 1

    def __call__(self, num_frames, fps, rng):
        raise NotImplementedError


def make_backbone() -> Backbone:
    return Backbone()


class NoRows:
    key = "score"
    higher_is_better = True

    def reset(self): ...
    def update(self, predictions, batch): ...
    def compute(self, rows): ...


class UpdatesFromScores(Score):
    def update(self, scores): ...


class NoPredict(nn.Module):
    def forward(self, batch): ...


class NoForward(nn.Module):
    def predict(self, batch): ...


class Plain:
    """Offers nothing."""


class NoCollate:
    def __len__(self):
        return 1

    def __getitem__(self, key):
        raise NotImplementedError


def make_plain() -> Plain:
    return Plain()
