"""Activation checkpointing that updates BatchNorm's running statistics once a step, not twice."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vidrec.models.layers.freeze import batch_norms


def checkpointed(block: nn.Module, x: Tensor) -> Tensor:
    """`block(x)` whose inner activations are computed again in the backward pass, not kept."""
    if torch.compiler.is_compiling():  # the compiler replays no change of statistics
        return checkpoint(block, x, use_reentrant=False)

    def contexts() -> tuple[AbstractContextManager, AbstractContextManager]:
        return nullcontext(), _statistics_kept(block)

    return checkpoint(block, x, use_reentrant=False, context_fn=contexts)


@contextmanager
def _statistics_kept(block: nn.Module) -> Iterator[None]:
    """BatchNorm in training normalises with the batch and leaves its running statistics alone."""
    before = [(norm, norm.momentum, norm.num_batches_tracked) for norm in batch_norms(block)]
    for norm, _, _ in before:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, momentum, num_batches in before:
            norm.momentum, norm.num_batches_tracked = momentum, num_batches
