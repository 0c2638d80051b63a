"""Activation checkpointing that updates BatchNorm's running statistics once a step, not twice."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vidrec.models.layers.freeze import batch_norms


def run_blocks(blocks: Iterable[nn.Module], x: Tensor, recompute: bool) -> Tensor:
    """One block after the other; with `recompute` their inner activations are not stored."""
    for block in blocks:
        x = checkpointed(block, x) if recompute else block(x)
    return x


def checkpointed(block: nn.Module, x: Tensor) -> Tensor:
    """`block(x)` whose inner activations are recomputed in the backward pass instead of stored."""
    if torch.compiler.is_compiling():  # the compiler cannot replay a change of statistics
        return checkpoint(block, x, use_reentrant=False)

    def contexts() -> tuple[AbstractContextManager, AbstractContextManager]:
        return nullcontext(), statistics_kept(block)

    return checkpoint(block, x, use_reentrant=False, context_fn=contexts)


@contextmanager
def statistics_kept(block: nn.Module) -> Iterator[None]:
    """BatchNorm normalises with the batch, but its running statistics stay as they are."""
    before = [(norm, norm.momentum, norm.num_batches_tracked) for norm in batch_norms(block)]
    for norm, _, _ in before:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, momentum, num_batches in before:
            norm.momentum, norm.num_batches_tracked = momentum, num_batches
