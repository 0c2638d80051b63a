"""The graph of a skeleton as adjacency matrices (ST-GCN, Yan et al., AAAI 2018, section 3.3)."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

Mode = Literal["spatial", "stgcn_spatial"]


def skeleton_graph(
    num_joints: int, edges: Sequence[Sequence[int]], center: int, mode: Mode
) -> Tensor:
    """Adjacency matrices (3, J, J) float32; entry (k, i, j) weighs joint i in the sum of joint j.

    edges: pairs (joint, neighbour) where the neighbour is nearer to the centre of gravity.
    center: the joint that counts as the centre.
    mode: `spatial`: the joint itself, its neighbours further out, those nearer to the centre, each
        divided by their number (2s-AGCN, Shi et al., CVPR 2019, section 3.1); `stgcn_spatial`: all
        divided by the number of neighbours, and cut into the joint itself, neighbours as near to
        the centre or nearer, and those further away.
    Raises ValueError for joints that do not exist.
    """
    if mode not in get_args(Mode):
        raise ValueError(f"mode='{mode}': choose {' or '.join(get_args(Mode))}")
    for joint in (center, *(joint for edge in edges for joint in edge)):
        if not 0 <= joint < num_joints:
            raise ValueError(f"joint {joint} does not exist: {num_joints} joints count from 0")
    inward = torch.zeros(num_joints, num_joints)
    for joint, neighbour in edges:
        inward[neighbour, joint] = 1
    identity = torch.eye(num_joints)
    if mode == "spatial":
        return torch.stack([identity, _columns_divided(inward), _columns_divided(inward.T)])
    linked = (identity + inward + inward.T).clamp(max=1)
    weights = _columns_divided(linked)
    # Joints that are no neighbours of the centre all count as equally far from it, as published.
    distance = torch.where(linked[:, center] > 0, 1.0, 2.0)
    distance[center] = 0
    closer_or_equal = distance[:, None] >= distance[None, :]
    neighbours = weights * (1 - identity)
    return torch.stack(
        [weights * identity, neighbours * closer_or_equal, neighbours * ~closer_or_equal]
    )


def _columns_divided(matrix: Tensor) -> Tensor:
    """Each column divided by its sum; columns of zeros stay."""
    return matrix / matrix.sum(dim=0).clamp(min=1)
