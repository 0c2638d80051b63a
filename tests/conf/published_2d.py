"""Published types of the TSM, TIN, TANet, TRN and TPN recipes -> our classes.

Each value: our target, published arguments under another name here (None: without counterpart), and
arguments that ours must have besides.
"""

BACKBONES = {
    "ResNetTSM": (
        "vidrec.models.backbones.tsm.ResNetTSM",
        {"non_local_cfg": None},  # non_local_mode, ..._use_scale and ..._sub_sample
    ),
    "MobileNetV2TSM": (
        "vidrec.models.backbones.tsm.MobileNetV2TSM",
        {"is_shift": None},  # without shifts it is MobileNetV2
    ),
    "MobileOneTSM": (
        "vidrec.models.backbones.tsm.MobileOneTSM",
        {"is_shift": None},  # without shifts it is MobileOne
    ),
    "ResNetTIN": ("vidrec.models.backbones.tin.ResNetTIN", {}),
    "TANet": ("vidrec.models.backbones.tanet.TANet", {"tam_cfg": None}),  # never given
}
# Heads average over space and frames, of however many frames a clip has.
AVERAGED = {"spatial_type": None, "consensus": None, "num_segments": None, "is_shift": None}
HEADS = {
    "TSMHead": ("vidrec.models.heads.tsm.TSMHead", AVERAGED),
    "TRNHead": ("vidrec.models.heads.trn.TRNHead", {"spatial_type": None}),
    "TPNHead": ("vidrec.models.heads.i3d.I3DHead", {"spatial_type": None, "consensus": None}),
}
# Sizes inside the pyramid are the same for all levels and said once.
NECKS = {
    "TPN": (
        "vidrec.models.necks.tpn.TPN",
        {
            "spatial_modulation_cfg": None,
            "temporal_modulation_cfg": None,
            "upsample_cfg": None,
            "downsample_cfg": None,
            "level_fusion_cfg": None,
            "aux_head_cfg": None,
        },
        {"out_channels": 1024, "fused_channels": 2048, "temporal_scale": 8},
    ),
}
