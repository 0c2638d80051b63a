"""Exponential moving average of the weights."""

import copy

import torch
from torch import nn


class EMA:
    """A copy of a net whose weights follow it: `average = d * average + (1 - d) * weights`, where d
    grows to `decay`: min(decay, (1 + t) / (10 + t)) at step t = 0, 1, ...

    With a constant decay of 0.9999 the average of a run of a thousand steps would be nine tenths
    initial weights. Buffers that are floating point (BatchNorm statistics) are averaged too,
    others copied.
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.decay = decay
        self.net = copy.deepcopy(net).requires_grad_(False).eval()
        # Walking the modules of a deep net takes longer than averaging it.
        pairs = list(zip(_tensors(self.net), _tensors(net), strict=True))
        self._averaged = _columns([pair for pair in pairs if pair[0].is_floating_point()])
        self._copied = _columns([pair for pair in pairs if not pair[0].is_floating_point()])

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Follow the net's weights as they are now; step: the number of steps before this one."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for mine, theirs in self._averaged:
            torch._foreach_lerp_(mine, theirs, 1 - decay)
        for mine, theirs in self._copied:
            torch._foreach_copy_(mine, theirs)

    def state_dict(self) -> dict[str, torch.Tensor]:
        return self.net.state_dict()

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        self.net.load_state_dict(state)


def _tensors(net: nn.Module) -> list[torch.Tensor]:
    return [*net.parameters(), *net.buffers()]


def _columns(
    pairs: list[tuple[torch.Tensor, torch.Tensor]],
) -> list[tuple[list[torch.Tensor], list[torch.Tensor]]]:
    """A list of pairs as one pair of lists, for torch._foreach; empty if there are no pairs."""
    return [([a for a, _ in pairs], [b for _, b in pairs])] if pairs else []
