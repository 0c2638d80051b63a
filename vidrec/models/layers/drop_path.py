"""Stochastic depth (Huang et al., ECCV 2016): residual branches left out at random in training."""

from torch import Tensor, nn


class DropPath(nn.Module):
    """Leaves a residual branch out for each sample with probability `drop_prob`, and scales the
    branches that stay by 1 / (1 - drop_prob). In evaluation it does nothing.
    """

    def __init__(self, drop_prob: float = 0.0) -> None:
        super().__init__()
        if not 0 <= drop_prob < 1:
            raise ValueError(f"DropPath drop_prob={drop_prob} is not in [0, 1)")
        self.drop_prob = drop_prob

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...) -> (B, ...)."""
        if not self.training or self.drop_prob == 0:
            return x
        keep = 1 - self.drop_prob
        shape = (x.shape[0],) + (1,) * (x.ndim - 1)
        return x * x.new_empty(shape).bernoulli_(keep).div_(keep)


def drop_path_rates(last: float, num_blocks: int) -> list[float]:
    """Probabilities that grow linearly over the blocks, from 0 to that of the last (equation 4).

    >>> drop_path_rates(0.5, 3)
    [0.0, 0.25, 0.5]
    """
    return [last * block / max(num_blocks - 1, 1) for block in range(num_blocks)]
