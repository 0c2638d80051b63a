"""The network of a PySlowFast configuration."""

from typing import Any

from vidrec.migrate.pyslowfast_settings import Settings
from vidrec.migrate.translation import Translation

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
MVIT_ARCHS = {(10, 96, 1): "tiny", (16, 96, 1): "small", (24, 96, 1): "base", (48, 144, 2): "large"}
MODES = {"softmax": "embedded_gaussian", "dot_product": "dot_product"}
STAGES = (  # a value for each stage -> the argument, and its default
    ("RESNET.SPATIAL_STRIDES", "spatial_strides", [1, 2, 2, 2]),
    ("RESNET.SPATIAL_DILATIONS", "dilations", [1, 1, 1, 1]),
)


def translate_network(settings: Settings, result: Translation) -> None:
    arch, detects = settings["MODEL.ARCH"], settings["DETECTION.ENABLE"]
    classes = settings["MODEL.NUM_CLASSES"] + bool(detects)  # the first column: the background
    result.want("data.num_classes", classes, "MODEL.NUM_CLASSES", spreads=True)
    for key, name in (("DATA.MEAN", "mean"), ("DATA.STD", "std")):
        value = [round(255 * part, 6) for part in settings[key]]
        result.want(f"model.net.{name}", value, key, given=settings[key])
    if arch == "mvit":
        _mvit_network(settings, result)
    elif arch == "x3d":
        width = settings["X3D.WIDTH_FACTOR"] * settings["X3D.DIM_C1"] / 24
        result.want("model.net.backbone.gamma_w", width, "X3D.WIDTH_FACTOR")
        result.want("model.net.backbone.gamma_d", settings["X3D.DEPTH_FACTOR"], "X3D.DEPTH_FACTOR")
        bottleneck = settings["X3D.BOTTLENECK_FACTOR"]
        result.want("model.net.backbone.gamma_b", bottleneck, "X3D.BOTTLENECK_FACTOR")
    else:
        _resnet(settings, result)
    if detects:
        head = "model.net.roi_head"
        size = settings["DETECTION.ROI_XFORM_RESOLUTION"]
        result.want(
            f"{head}.bbox_roi_extractor.output_size", size, "DETECTION.ROI_XFORM_RESOLUTION"
        )
        dropout = settings["MODEL.DROPOUT_RATE"]
        result.want(f"{head}.bbox_head.dropout_ratio", dropout, "MODEL.DROPOUT_RATE")


def _mvit_network(settings: Settings, result: Translation) -> None:
    arch = MVIT_ARCHS.get(mvit_of(settings))
    if arch is None or not settings["MVIT.REL_POS_SPATIAL"]:
        result.lack("MVIT", mvit_of(settings), f"there are MViTv2 {', '.join(MVIT_ARCHS.values())}")
    else:
        result.want("model.net.backbone.arch", arch, "MVIT.DEPTH, EMBED_DIM and NUM_HEADS")
    rate = settings["MVIT.DROPPATH_RATE"]
    result.want("model.net.backbone.drop_path_rate", rate, "MVIT.DROPPATH_RATE")


def _resnet(settings: Settings, result: Translation) -> None:
    """The pathways of a ResNet: slow and fast, or one."""
    is_slowfast = settings["MODEL.ARCH"] == "slowfast"
    names = [".slow_pathway", ".fast_pathway"] if is_slowfast else [""]
    depth = settings["RESNET.DEPTH"]
    for pathway, name in enumerate(names):
        node = f"model.net.backbone{name}"
        result.argument(f"{node}.depth", depth, "RESNET.DEPTH")
        zero = settings["RESNET.ZERO_INIT_FINAL_BN"]
        if settings["MODEL.ARCH"] != "c2d":
            result.argument(f"{node}.zero_init_residual", zero, "RESNET.ZERO_INIT_FINAL_BN")
        for key, option, default in STAGES:
            values = [stage[min(pathway, len(stage) - 1)] for stage in settings[key]]
            if values != default or settings["DETECTION.ENABLE"]:
                result.argument(f"{node}.{option}", values, key)
    if is_slowfast:
        alpha, beta = settings["SLOWFAST.ALPHA"], settings["SLOWFAST.BETA_INV"]
        kernel = settings["SLOWFAST.FUSION_KERNEL_SZ"]
        for name, value, key in (
            ("resample_rate", alpha, "ALPHA"),
            ("speed_ratio", alpha, "ALPHA"),
            ("channel_ratio", beta, "BETA_INV"),
            ("fast_pathway.base_channels", 64 // beta, "BETA_INV"),
            ("slow_pathway.fusion_kernel", kernel, "FUSION_KERNEL_SZ"),
        ):
            result.argument(f"model.net.backbone.{name}", value, f"SLOWFAST.{key}")
    _non_local(settings, depth, is_slowfast, result)
    blocks = BLOCKS.get(depth, ())
    for stage, most in zip(settings["RESNET.NUM_BLOCK_TEMP_KERNEL"], blocks, strict=False):
        if min(stage) < most:
            key, value = "RESNET.NUM_BLOCK_TEMP_KERNEL", settings["RESNET.NUM_BLOCK_TEMP_KERNEL"]
            result.lack(key, value, "set inflate of the backbone, a mask for each stage")
            break


def _non_local(settings: Settings, depth: int, is_slowfast: bool, result: Translation) -> None:
    location, kind = settings["NONLOCAL.LOCATION"], settings["NONLOCAL.INSTANTIATION"]
    if not any(map(any, location)):
        return
    if is_slowfast or depth not in BLOCKS:
        result.lack("NONLOCAL.LOCATION", location, "set non_local of the pathway by hand")
        return
    masks = [
        [int(block in stage[0]) for block in range(count)]
        for stage, count in zip(location, BLOCKS[depth], strict=True)
    ]
    node = "model.net.backbone"
    result.argument(f"{node}.non_local", masks, "NONLOCAL.LOCATION", given=location)
    result.argument(f"{node}.non_local_mode", MODES.get(kind, kind), "NONLOCAL.INSTANTIATION")


def mvit_of(settings: Settings) -> tuple[Any, Any, Any]:
    """What tells the sizes of MViT apart."""
    return (settings["MVIT.DEPTH"], settings["MVIT.EMBED_DIM"], settings["MVIT.NUM_HEADS"])
