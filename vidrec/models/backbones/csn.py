"""Channel-separated networks (Tran et al., ICCV 2019)."""

from typing import Literal, Unpack

from vidrec.models.backbones.resnet3d import DEPTHS, Bottleneck3d, ResNet3d, ResNet3dOptions
from vidrec.models.layers.freeze import batch_norms


class ResNet3dCSN(ResNet3d):
    """`ResNet3d` with depthwise 3x3x3 convolutions.

    bottleneck_mode: whether a 1x1x1 convolution mixes the channels before them
        (interaction-preserved, "ip") or not (interaction-reduced, "ir"); section 3.3.
    """

    def __init__(
        self,
        depth: int,
        bottleneck_mode: Literal["ir", "ip"] = "ir",
        **options: Unpack[ResNet3dOptions],
    ) -> None:
        if depth in DEPTHS and DEPTHS[depth][0] is not Bottleneck3d:
            raise ValueError(f"ResNet3dCSN depth={depth} has no bottlenecks, choose 50, 101 or 152")
        if bottleneck_mode not in ("ir", "ip"):
            raise ValueError(f"ResNet3dCSN has no bottleneck_mode='{bottleneck_mode}', only ir, ip")
        defaults = ResNet3dOptions(
            temporal_strides=(1, 2, 2, 2),
            with_pool2=False,
            inflate_style=bottleneck_mode,
            zero_init_residual=False,
        )
        super().__init__(depth, **(defaults | options))
        for norm in batch_norms(self):
            norm.eps = 1e-3
