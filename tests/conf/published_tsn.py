"""Published types of the TSN recipes -> our classes.

Each value: our target, published arguments under another name here (None: without counterpart), and
arguments that ours must have besides.
"""

RESNET = "vidrec.models.backbones.resnet.ResNet"
IMAGE = "vidrec.models.backbones.image.ImageBackbone"
# Fixed in our classes, or said by the library's name of the network.
IN_THE_NAME = dict.fromkeys(("out_indices", "style", "conv_cfg", "norm_cfg", "act_cfg"))

BACKBONES = {
    "ResNet": (RESNET, {}),
    "mmpretrain.MobileOne": (
        "vidrec.models.backbones.mobileone.MobileOne",
        {"out_indices": None},  # the last stage, the only one there is to return
    ),
    "mmcls.ResNeXt": (
        IMAGE,
        IN_THE_NAME | {"depth": None, "num_stages": None, "groups": None, "width_per_group": None},
        {"name": "resnext101_32x4d", "library": None},
    ),
    "timm.swin_base_patch4_window7_224": (
        IMAGE,
        {"feature_shape": None},  # found out by the class
        {"name": "swin_base_patch4_window7_224", "library": None},
    ),
    "torchvision.densenet161": (IMAGE, {}, {"name": "densenet161", "library": "torchvision"}),
}
HEADS = {"TSNHead": ("vidrec.models.heads.tsn.TSNHead", {"spatial_type": None, "consensus": None})}
