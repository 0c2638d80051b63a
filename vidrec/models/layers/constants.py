"""Tensors that depend only on sizes, such as the indices and masks of attention."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import ParamSpec

import torch
from torch import Tensor

Sizes = ParamSpec("Sizes")


def constant(make: Callable[Sizes, Tensor]) -> Callable[Sizes, Tensor]:
    """Decorator: the result of `make` is cached per arguments, which include the device.

    Compilers and exports trace `make` instead, since tensors cannot be shared between traces.
    Results are shared and must not be modified in place.
    """

    # Usable in training even if first needed in inference mode.
    cached = lru_cache(maxsize=32)(torch.inference_mode(False)(make))

    @wraps(make)
    def made(*args: Sizes.args, **kwargs: Sizes.kwargs) -> Tensor:
        if torch.compiler.is_compiling():
            return make(*args, **kwargs)
        return cached(*args, **kwargs)  # type: ignore[arg-type]  # sizes and devices are hashable

    return made
