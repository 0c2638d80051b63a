"""Why weights do not fit a network, in a sentence: what the file looks like, what is wanted."""

import math
import re
from collections.abc import Collection, Sequence

from vidrec.weights.convert.names import Shapes
from vidrec.weights.convert.prefixes import prefixes
from vidrec.weights.report import Report, some

_LONGEST = 80  # characters of a name that are shown
WORTHWHILE = 0.1
"""Fraction of the backbone that weights of the same network have at least in common with it."""

# Blocks of the four stages, and whether they are bottlenecks (He et al., CVPR 2016, table 1).
_RESNETS: dict[tuple[object, ...], str] = {
    (2, 2, 2, 2, False): "ResNet-18",
    (3, 4, 6, 3, False): "ResNet-34",
    (3, 4, 6, 3, True): "ResNet-50",
    (3, 4, 23, 3, True): "ResNet-101",
    (3, 8, 36, 3, True): "ResNet-152",
}
_VITS = {192: "Ti", 384: "S", 768: "B", 1024: "L", 1280: "H", 1408: "g"}  # by width

# Names that only one kind of network has, more particular ones first.
_KINDS = (
    (r"slow_path\.", "a SlowFast network of MMAction2"),
    (r"s1\.pathway1_stem\.", "a SlowFast network of PySlowFast"),
    (r"s1\.pathway0_stem\.conv_xy\.", "an X3D of PySlowFast"),
    (r"s1\.pathway0_stem\.", "a ResNet of PySlowFast"),
    (r"(t_)?res\d_\d_branch2a_w$", "a network of caffe2"),
    (r"blocks\.\d+\.multipathway_blocks\.", "a SlowFast network of pytorchvideo"),
    (r"blocks\.\d+\.res_blocks\.", "a network of pytorchvideo"),
    (r"encoder\.layer\.0\.temporal_attention\.", "a TimeSformer of Hugging Face"),
    (r"encoder\.layer\.0\.attention\.attention\.", "a vision transformer of Hugging Face"),
    (r"encoder\.layers\.encoder_layer_0\.", "a vision transformer of torchvision"),
    (r"blocks\.0\.temporal_attn\.", "a TimeSformer of its authors"),
    (r"blocks\.0\.attn\.rel_pos_", "an MViT of PySlowFast or vidrec"),
    (r"transformer\.resblocks\.0\.", "a transformer of CLIP"),
    (r"layers\.0\.blocks\.0\.attn\.relative_position_bias_table", "a Swin Transformer"),
    (r"features\.1\.0\.attn\.relative_position_bias_table", "a Swin Transformer of torchvision"),
    (r"features\.denseblock1\.", "a DenseNet"),
    (r"features\.18\.0\.weight", "a MobileNetV2 of torchvision"),
    (r"features\.\d+\.\d+\.block\.", "an EfficientNet, MobileNetV3 or ConvNeXt of torchvision"),
    (r"layer7\.0\.conv\.0\.(net\.)?conv\.", "a MobileNetV2 of MMPretrain"),
    (r"stage0\.branch_", "a MobileOne"),
    (r"stages\.0\.blocks\.0\.conv_dw\.", "a ConvNeXt of timm"),
)


def looks_like(shapes: Shapes) -> str | None:
    """The network that tensors seem to be of, by their names and shapes; None if it is unknown.

    >>> looks_like({"module.s1.pathway1_stem.conv.weight": (8, 3, 5, 7, 7)})
    'a SlowFast network of PySlowFast'
    """
    for prefix in prefixes(shapes, shapes):
        inside = {n.removeprefix(prefix): s for n, s in shapes.items() if n.startswith(prefix)}
        for pattern, kind in _KINDS:
            if any(re.match(pattern, name) for name in inside):
                return kind
        if found := _resnet(inside) or _vision_transformer(inside):
            return found
    return None


def _resnet(shapes: Shapes) -> str | None:
    blocks = [_blocks(rf"layer{stage}\.(\d+)\.", shapes) for stage in range(1, 5)]
    bottleneck = any(re.match(r"layer1\.0\.conv3\.", name) for name in shapes)
    kind = _RESNETS.get((*blocks, bottleneck))
    if kind is None:
        return None
    theirs = "conv1.weight" in shapes
    stem = shapes.get("conv1.weight", shapes.get("conv1.conv.weight", ()))
    time = "3D " if len(stem) == 5 else ""
    return f"a {time}{kind} of {'torchvision or timm' if theirs else 'MMAction2 or vidrec'}"


def _vision_transformer(shapes: Shapes) -> str | None:
    width = next(
        (s[-1] for name, s in shapes.items() if re.match(r"blocks\.0\.attn\.qkv\.weight$", name)), 0
    )
    if not width:
        return None
    size = f"-{_VITS[width]}" if width in _VITS else ""
    depth = _blocks(r"blocks\.(\d+)\.", shapes)
    return f"a ViT{size} of timm, MAE or VideoMAE with {depth} blocks"


def _blocks(pattern: str, names: Collection[str]) -> int:
    return len({m[1] for name in names if (m := re.match(pattern, name))})


def partial_match(report: Report, min_backbone: float, wanted: Shapes) -> str:
    """One sentence for weights of which fewer match than the configuration asks for.

    wanted: the shapes of the network's tensors by name.
    """
    if report.backbone < WORTHWHILE:
        return (
            f"{no_match(report, wanted)}: choose the model that these weights are of, or other "
            "weights; model.weights=null trains from scratch"
        )
    differing = f"; differing {some(report.differing, 3)}" if report.differing else ""
    return (
        f"{report.source} matches {100 * report.backbone:.1f} % of the network's backbone, less "
        f"than model.min_backbone={min_backbone}: missing {_shown(report.missing, 3)}{differing}; "
        f"{_kinds(report.in_file, wanted)}; "
        f"model.min_backbone={math.floor(100 * report.backbone) / 100} loads what matches"
    )


def no_match(report: Report, wanted: Shapes) -> str:
    """The same for weights that are of another network, without a way out."""
    return (
        f"{report.source} matches {100 * report.backbone:.1f} % of the network's backbone; "
        f"{_kinds(report.in_file, wanted)}"
    )


def _kinds(in_file: Shapes, in_net: Shapes) -> str:
    given, wanted = looks_like(in_file), looks_like(in_net)
    parts = [
        f"the file has {_shown(list(in_file), 2)}",
        f" and looks like {given}" if given else "",
        f", the network has {_shown(list(in_net), 2)}",
        f" and looks like {wanted}" if wanted else "",
    ]
    return "".join(parts)


def _shown(names: Sequence[str], most: int) -> str:
    short = [n if len(n) <= _LONGEST else f"{n[:_LONGEST]}..." for n in names[:most]]
    return some([*short, *names[most:]], most)
