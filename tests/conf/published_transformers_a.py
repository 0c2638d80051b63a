"""Published types of the recipes of Video Swin, MViT and UniFormer -> our classes, as in
published_tsn.py.
"""

BACKBONES = {
    "SwinTransformer3D": ("vidrec.models.backbones.swin3d.SwinTransformer3D", {}),
    "MViT": (
        "vidrec.models.backbones.mvit.MViT",
        {"pretrained_type": None},  # read off the names in the checkpoint
    ),
    "UniFormer": ("vidrec.models.backbones.uniformer.UniFormer", {}),
}
HEADS = {
    "I3DHead": ("vidrec.models.heads.i3d.I3DHead", {"spatial_type": None}),  # always the average
    "MViTHead": ("vidrec.models.heads.mvit.MViTHead", {}),
}
