"""Tensors that depend on sizes alone, such as the indices and masks of attention."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import ParamSpec

import torch
from torch import Tensor

Sizes = ParamSpec("Sizes")


def constant(make: Callable[Sizes, Tensor]) -> Callable[Sizes, Tensor]:
    """Decorator: `make` is computed once for each set of arguments, the device among them.

    A compiler or an export traces it instead, since tensors of one trace are of no use to another.
    The results are shared: they must not be changed in place.
    """

    # Of use in later training even if first asked for in inference mode.
    kept = lru_cache(maxsize=32)(torch.inference_mode(False)(make))

    @wraps(make)
    def given(*args: Sizes.args, **kwargs: Sizes.kwargs) -> Tensor:
        if torch.compiler.is_compiling():
            return make(*args, **kwargs)
        return kept(*args, **kwargs)  # type: ignore[arg-type]  # sizes and devices are hashable

    return given
