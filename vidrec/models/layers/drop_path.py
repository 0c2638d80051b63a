"""Stochastic depth (Huang et al., ECCV 2016): how often each block of a network is skipped."""


def drop_path_rates(last: float, num_blocks: int) -> list[float]:
    """Probabilities that grow linearly over the blocks, from 0 to that of the last (equation 4).

    Raises ValueError if `last` is not in [0, 1).

    >>> drop_path_rates(0.5, 3)
    [0.0, 0.25, 0.5]
    """
    if not 0 <= last < 1:
        raise ValueError(f"a drop path rate of {last} is not in [0, 1)")
    return [last * block / max(num_blocks - 1, 1) for block in range(num_blocks)]
