"""Any image backbone of timm or torchvision by name."""

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from vidrec.errors import did_you_mean
from vidrec.models.layers.checkpoint import statistics_kept

# The blocks of timm's transformers and of torchvision's MaxViT: "blocks.3", "layers.1.blocks.0".
BLOCK_NAMES = r"(?:\w+\.)*?(?:(?:layers|stages)\.\d+\.)?\w*blocks\d*\.\d+"


Library = Literal["timm", "torchvision"]


def ImageBackbone(
    name: str,
    library: Library | None = None,
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
    library: null: timm if it has a network of that name, else torchvision.
    options: further arguments of the library's constructor, such as drop_path_rate.
    checkpointing: recompute activations in the backward pass, if timm supports it.
    """
    library, name = _found(name, library)
    if library == "timm":
        return _timm(name, in_channels, dict(options or {}), checkpointing)
    if checkpointing:
        raise ValueError(
            f"torchvision/{name} does not support checkpointing: use a network of timm, or leave "
            "checkpointing=false"
        )
    return _torchvision(name, in_channels, dict(options or {}))


def _found(name: str, library: Library | None) -> tuple[Library, str]:
    """The library that has the network, and the network's name there."""
    import timm
    from torchvision import models

    prefix, slash, rest = name.partition("/")
    if slash and prefix in get_args(Library):
        library, name = prefix, rest  # type: ignore[assignment]
    if library not in (None, *get_args(Library)):
        raise ValueError(f"ImageBackbone library='{library}': choose timm or torchvision")
    if library != "torchvision" and timm.is_model(name):
        return "timm", name
    theirs = models.list_models(module=models)
    if library != "timm" and name in theirs:
        return "torchvision", name
    known = {"timm": timm.list_models(), "torchvision": theirs}
    missing = f"{library} has no" if library else "neither timm nor torchvision has an"
    there = known[library] if library else sorted({*known["timm"], *theirs})
    raise ValueError(f"{missing} image model '{name}'; {did_you_mean(name, there)}")


def _timm(
    name: str, in_channels: int, options: dict[str, object], checkpointing: bool
) -> nn.Module:
    import timm

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
        net.register_forward_hook(_statistics_once)
    net.out_channels = getattr(net, "head_hidden_size", net.num_features)
    net.block_names = BLOCK_NAMES
    net.register_forward_hook(_timm_map)
    return net


def _statistics_once(net: Any, inputs: tuple[Tensor], output: Tensor) -> None:
    """What the backward pass recomputes does not update BatchNorm's statistics a second time."""
    if torch.compiler.is_compiling() or not output.requires_grad:
        return

    def backward_begins(gradient: Tensor) -> None:
        if getattr(net, "is_recomputing", False):  # it was called twice before this backward pass
            return
        net.is_recomputing = True
        kept = statistics_kept(net)
        kept.__enter__()

        def backward_ends() -> None:
            kept.__exit__(None, None, None)
            net.is_recomputing = False

        torch.autograd.Variable._execution_engine.queue_callback(backward_ends)

    output.register_hook(backward_begins)


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

    if name in ("googlenet", "inception_v3"):
        # Published weights expect images that were normalised in another way than those of other
        # networks, which these do by themselves. Auxiliary classifiers only serve ImageNet.
        own = {"transform_input": in_channels == 3, "aux_logits": False, "init_weights": True}
        options = own | options
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
