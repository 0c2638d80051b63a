"""Published types of the 3D recipes (C2D to X3D) -> our classes; see published_2d.py."""

# Convolutions, norms and activations are the architecture's own; non_local_cfg is
# non_local_mode, non_local_use_scale and non_local_sub_sample.
FIXED = {
    "conv_cfg": None,
    "norm_cfg": None,
    "act_cfg": None,
    "style": None,
    "lateral": None,  # whether a pathway has lateral connections is its class
    "non_local_cfg": None,
}
RESNET3D = "vidrec.models.backbones.resnet3d.ResNet3d"
BACKBONES = {
    "C2D": ("vidrec.models.backbones.c2d.C2D", {}),
    "ResNet3d": (RESNET3D, FIXED),
    "ResNet3dSlowOnly": ("vidrec.models.backbones.resnet3d.ResNet3dSlowOnly", FIXED),
    "resnet3d": ((RESNET3D, "vidrec.models.backbones.slowfast.SlowPathway"), FIXED),
    "ResNet3dSlowFast": ("vidrec.models.backbones.slowfast.ResNet3dSlowFast", {}),
    "ResNet2Plus1d": ("vidrec.models.backbones.r2plus1d.ResNet2Plus1d", FIXED),
    "ResNet3dCSN": ("vidrec.models.backbones.csn.ResNet3dCSN", FIXED),
    "C3D": ("vidrec.models.backbones.c3d.C3D", FIXED),
    "X3D": ("vidrec.models.backbones.x3d.X3D", {}),
    "OmniResNet": ("vidrec.models.backbones.omni_resnet.OmniResNet", {}),
}
# Heads average over time and space.
HEADS = {
    "SlowFastHead": ("vidrec.models.heads.slowfast.SlowFastHead", {"spatial_type": None}),
    "X3DHead": ("vidrec.models.heads.x3d.X3DHead", {"spatial_type": None}),
    "OmniHead": ("vidrec.models.heads.omni.OmniHead", {}),
}
