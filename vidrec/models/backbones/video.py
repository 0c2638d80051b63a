"""Any video network of torchvision by name."""

from collections.abc import Mapping

from torch import nn

from vidrec.errors import did_you_mean


def VideoNetwork(
    name: str,
    num_classes: int,
    in_channels: int = 3,
    options: Mapping[str, object] | None = None,
) -> nn.Module:
    """An unchanged network of torchvision.models.video: clips (B, C, T, H, W) to logits (B, K).

    It keeps its classifier, so that published weights, torchvision://NAME, give the published
    scores; for another number of classes all layers but the last are loaded.

    name: r3d_18, mc3_18, r2plus1d_18, s3d, mvit_v1_b, mvit_v2_s, swin3d_t, swin3d_s or swin3d_b.
        The MViTs only take clips of 16 x 224 x 224.
    options: further arguments of the library's constructor, such as stochastic_depth_prob.
    """
    from torchvision import models

    known = models.list_models(module=models.video)
    if name not in known:
        raise ValueError(f"torchvision has no video model '{name}'; {did_you_mean(name, known)}")
    net = models.get_model(name, weights=None, num_classes=num_classes, **dict(options or {}))
    if hasattr(net, "blocks"):  # MViT's; see `VisionTransformer`
        net.block_names = r"blocks\.\d+"
    if in_channels != 3:
        path, stem = next(pair for pair in net.named_modules() if isinstance(pair[1], nn.Conv3d))
        net.set_submodule(path, _with_channels(stem, in_channels))
    return net


def _with_channels(stem: nn.Conv3d, in_channels: int) -> nn.Conv3d:
    """A convolution like `stem` for clips of other channels."""
    return nn.Conv3d(
        in_channels,
        stem.out_channels,
        kernel_size=stem.kernel_size,  # type: ignore[arg-type]
        stride=stem.stride,  # type: ignore[arg-type]
        padding=stem.padding,  # type: ignore[arg-type]
        bias=stem.bias is not None,
    )
