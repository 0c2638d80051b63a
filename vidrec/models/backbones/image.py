"""Any image backbone of timm or torchvision by name."""

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Literal

from torch import Tensor, nn

from vidrec.errors import did_you_mean

# The blocks of timm's transformers and of torchvision's MaxViT: "blocks.3", "layers.1.blocks.0".
BLOCK_NAMES = r"(?:\w+\.)*?(?:(?:layers|stages)\.\d+\.)?\w*blocks\d*\.\d+"


def ImageBackbone(
    name: str,
    library: Literal["timm", "torchvision"] = "timm",
    in_channels: int = 3,
    options: Mapping[str, object] | None = None,
    checkpointing: bool = False,
) -> nn.Module:
    """The library's own network without its classifier: images to maps (B, out_channels, h, w).

    Parameters are named as in the library's published weights, which `model.weights` loads. timm's
    networks return the map before pooling, or tokens on their grid without the class token.
    torchvision's return their `features`, as published TSN checkpoints need it, or, if they have
    none (ResNet, ViT), the input of their classifier, h and w being 1.

    name: as the library lists it; "timm/NAME" and "torchvision/NAME" name the library too.
    options: further arguments of the library's constructor, such as drop_path_rate.
    checkpointing: recompute activations in the backward pass, if timm supports it; the running
        statistics of BatchNorm are then updated twice per step.
    """
    prefix, slash, rest = name.partition("/")
    if slash and prefix in ("timm", "torchvision"):
        library, name = prefix, rest  # type: ignore[assignment]
    if library == "timm":
        return _timm(name, in_channels, dict(options or {}), checkpointing)
    if library == "torchvision":
        if checkpointing:
            raise ValueError(
                f"torchvision/{name} does not support checkpointing: use timm's network, or leave "
                "checkpointing=false"
            )
        return _torchvision(name, in_channels, dict(options or {}))
    raise ValueError(f"ImageBackbone library='{library}': choose timm or torchvision")


def _timm(
    name: str, in_channels: int, options: dict[str, object], checkpointing: bool
) -> nn.Module:
    import timm

    if not timm.is_model(name):
        raise ValueError(_unknown("timm", name, timm.list_models()))
    for option in options:
        if option.startswith(("pretrained", "checkpoint")):
            raise ValueError(f"ImageBackbone options.{option}: weights are those of model.weights")
    create: Callable[..., Any] = timm.create_model
    options |= {"num_classes": 0, "in_chans": in_channels}
    try:
        net = create(name, global_pool="", **options)
    except AssertionError:  # a few networks do not run without their pooling
        net = create(name, **options)
        net.reset_classifier(0)  # older versions of timm keep a layer without outputs
    if checkpointing:
        net.set_grad_checkpointing(True)
    net.out_channels = getattr(net, "head_hidden_size", net.num_features)
    net.block_names = BLOCK_NAMES
    net.register_forward_hook(_timm_map)
    return net


def _timm_map(net: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
    """timm's (B, C, h, w), (B, h, w, C), (B, L, C) or (B, C) -> (B, C, h, w)."""
    if output.ndim == 2:
        return output[:, :, None, None]
    if output.ndim == 4:
        return output.movedim(-1, 1) if getattr(net, "output_fmt", "NCHW") == "NHWC" else output
    tokens = output[:, getattr(net, "num_prefix_tokens", 0) :].transpose(1, 2)
    height, width = inputs[0].shape[-2:]
    length = tokens.shape[2]
    rows = round((length * height / width) ** 0.5)
    # Tokens that do not form a regular grid stay in one column.
    return tokens.unflatten(2, (rows, -1) if rows and length % rows == 0 else (length, 1))


def _torchvision(name: str, in_channels: int, options: dict[str, object]) -> nn.Module:
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise ValueError(_unknown("torchvision", name, known))
    net: Any = models.get_model(name, weights=None, **options)
    net.block_names = BLOCK_NAMES
    if in_channels != 3:
        path, stem = next(pair for pair in net.named_modules() if isinstance(pair[1], nn.Conv2d))
        net.set_submodule(path, _with_channels(stem, in_channels))
    layers = {p: m for p, m in net.named_modules() if isinstance(m, (nn.Linear, nn.Conv2d))}
    if hasattr(net, "features"):
        # Swin's features are followed by a norm and a change of layout.
        names = [name for name in ("features", "norm", "permute") if hasattr(net, name)]
        trunk: Any = nn.Sequential(OrderedDict((name, getattr(net, name)) for name in names))
        after = next(m for path, m in layers.items() if not path.startswith("features."))
        trunk.out_channels = after.weight.shape[1] // _pooled_area(net)
        return trunk
    path, classifier = layers.popitem()
    net.set_submodule(path, nn.Identity())
    net.out_channels = classifier.weight.shape[1]
    net.register_forward_hook(_torchvision_map)
    return net


def _pooled_area(net: nn.Module) -> int:
    """Positions of the map that the classifier sees flattened: 49 for VGG, 1 for most."""
    size: tuple[int, ...] | int = getattr(getattr(net, "avgpool", None), "output_size", 1)
    return math.prod(size) if isinstance(size, tuple) else size**2


def _torchvision_map(net: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
    """(B, C) -> (B, C, 1, 1)."""
    return output[:, :, None, None]


def _with_channels(stem: nn.Conv2d, in_channels: int) -> nn.Conv2d:
    """A convolution like `stem` for images of other channels."""
    return nn.Conv2d(
        in_channels,
        stem.out_channels,
        kernel_size=stem.kernel_size,  # type: ignore[arg-type]
        stride=stem.stride,  # type: ignore[arg-type]
        padding=stem.padding,  # type: ignore[arg-type]
        bias=stem.bias is not None,
    )


def _unknown(library: str, name: str, known: list[str]) -> str:
    return f"{library} has no image model '{name}'; {did_you_mean(name, known)}"
