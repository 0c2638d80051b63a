"""Checks that all networks of stages share: residual networks, MobileNets, X3D."""

from collections.abc import Sequence


def check_stages(
    name: str,
    num_stages: int,
    frozen_stages: int = -1,
    checkpoint_stages: Sequence[int] = (),
    out_indices: Sequence[int] | None = None,
) -> None:
    """Raises ValueError if an option of the network `name` refers to a stage that it lacks.

    frozen_stages, checkpoint_stages: count from 1, the stem being 0. out_indices: count from 0.
    """
    stages = set(range(num_stages))
    if out_indices is not None and not (out_indices and set(out_indices) <= stages):
        raise ValueError(
            f"{name} out_indices={list(out_indices)}: stages count from 0 to {num_stages - 1}"
        )
    if not -1 <= frozen_stages <= num_stages:
        raise ValueError(f"{name} frozen_stages={frozen_stages} is not in -1 to {num_stages}")
    if not set(checkpoint_stages) <= set(range(1, num_stages + 1)):
        raise ValueError(
            f"{name} checkpoint_stages={list(checkpoint_stages)}: stages count from 1 to "
            f"{num_stages}"
        )
