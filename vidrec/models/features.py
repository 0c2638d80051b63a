"""Features of clips: what the classifier of a recognition network is given."""

from collections.abc import Iterable
from functools import partial
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from vidrec.models.recognizer import Recognizer


def classifier_of(net: Recognizer) -> str:
    """The name of the last linear layer of the head (of TRN, the one before the relations)."""
    # A network that is taken whole has a head without weights; its own classifier comes last.
    part = "cls_head" if any(True for _ in net.cls_head.parameters()) else "backbone"
    inside = net.get_submodule(part).named_modules(prefix=part)
    linear = [name for name, module in inside if isinstance(module, nn.Linear)]
    if not linear:
        kind = type(net.get_submodule(part)).__name__
        raise ValueError(f"{kind} has no linear layer, whose inputs are the features")
    return linear[-1]


class ClassifierInput:
    """Captures the input of a network's classifier, one feature for each view, until it is closed.

    Where every frame is classified on its own (TSM, TIN, TANet, TRN) the feature is the mean over
    the frames of a view.

    untrained: names of the head's weights that are still random. Those of the classifier and behind
        it do not matter; if a layer before it has one, the forward pass raises ValueError.
    """

    def __init__(self, net: Recognizer, untrained: Iterable[str] = ()) -> None:
        self._classifier = classifier = classifier_of(net)
        self._parts: list[Tensor] = []
        self._hooks = [net.get_submodule(classifier).register_forward_pre_hook(self._keep)]
        for name in untrained:
            layer = name.rpartition(".")[0]
            if layer != classifier:
                refuse = partial(self._refuse, name)
                self._hooks.append(net.get_submodule(layer).register_forward_pre_hook(refuse))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the network as it was."""
        for hook in self._hooks:
            hook.remove()

    def _keep(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._parts.append(inputs[0].float())

    def _refuse(self, name: str, _: nn.Module, __: tuple[Tensor, ...]) -> None:
        if not self._parts:  # the classifier has not been reached yet
            raise ValueError(
                f"the features depend on {name}, which the checkpoint lacks or has in another "
                "shape: choose the model that it was trained with"
            )

    def take(self, num_views: int) -> Tensor:
        """(num_views, C) float32: the features of the `num_views` views since the last call.

        Raises ValueError if the classifier was not given as many rows for each of them.
        """
        num_rows = sum(len(part) for part in self._parts)
        if num_rows == 0 or num_rows % num_views:
            raise ValueError(
                f"{self._classifier} is the last linear layer, but is given {num_rows} rows for "
                f"{num_views} views: features need a head whose classifier comes last"
            )
        rows = torch.cat(self._parts)
        self._parts.clear()
        return rows.reshape(num_views, -1, rows.shape[-1]).mean(dim=1)


def in_half_precision(features: Tensor, video: str) -> np.ndarray:
    """float16, as features are stored. Raises ValueError if any of them is not finite then."""
    half = features.half()
    if not half.isfinite().all():
        raise ValueError(
            f"{video}: features are not finite, or too large for float16: check the weights, or "
            "use runtime.precision=fp32"
        )
    return half.cpu().numpy()
