"""Published types of the recipes of TimeSformer, UniFormerV2 and VideoMAE -> our classes, as in
published_tsn.py.
"""

BACKBONES = {
    "TimeSformer": (
        "vidrec.models.backbones.timesformer.TimeSformer",
        {
            "norm_cfg": None,  # always layers of epsilon 1e-6
            "transformer_layers": None,  # the layers follow from attention_type
        },
    ),
    "VisionTransformer": (
        "vidrec.models.backbones.vit.VisionTransformer",
        {
            "norm_cfg": None,  # always layers of epsilon 1e-6
            "use_mean_pooling": None,  # the mean or, with return_feat_map, the map
        },
    ),
    "UniFormerV2": (
        "vidrec.models.backbones.uniformerv2.UniFormerV2",
        {
            "t_size": None,  # the frames of a clip say it
            "n_layers": None,  # one for each block of return_list
            "n_dim": None,  # the width, which is the only one that fits
            "clip_pretrained": None,  # model.weights
        },
    ),
}
HEADS = {
    "TimeSformerHead": ("vidrec.models.heads.timesformer.TimeSformerHead", {}),
    "UniFormerHead": (
        "vidrec.models.heads.timesformer.TimeSformerHead",
        {"channel_map": None},  # rows of the pretrained classifier: part of loading weights
    ),
}
# Names of CLIP's networks -> where MMAction2 1.2.0 takes their weights from.
CLIP = "https://download.openmmlab.com/mmaction/v1.0/recognition/uniformerv2/clipVisualEncoder/"
WEIGHTS = {
    "ViT-B/16": f"{CLIP}vit-base-p16-res224_clip-rgb_20221219-b8a5da86.pth",
    "ViT-L/14": f"{CLIP}vit-large-p14-res224_clip-rgb_20221219-9de7543e.pth",
    "ViT-L/14_336": f"{CLIP}vit-large-p14-res336_clip-rgb_20221219-d370f9e5.pth",
}
