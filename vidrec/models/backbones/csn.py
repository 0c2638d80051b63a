"""Channel-separated networks (Tran et al., ICCV 2019)."""

from collections.abc import Sequence
from typing import Literal

from vidrec.models.backbones.resnet3d import DEPTHS, Bottleneck3d, ResNet3d
from vidrec.models.layers.freeze import batch_norms


class ResNet3dCSN(ResNet3d):
    """`ResNet3d` whose 3x3x3 convolutions look at each channel alone.

    bottleneck_mode: whether a 1x1x1 convolution mixes the channels before them
        (interaction-preserved, "ip") or not (interaction-reduced, "ir"); section 3.3.
    """

    def __init__(
        self,
        depth: int,
        bottleneck_mode: Literal["ir", "ip"] = "ir",
        in_channels: int = 3,
        num_stages: int = 4,
        base_channels: int = 64,
        out_indices: Sequence[int] | None = None,
        spatial_strides: Sequence[int] = (1, 2, 2, 2),
        temporal_strides: Sequence[int] = (1, 2, 2, 2),
        conv1_kernel: Sequence[int] = (3, 7, 7),
        with_pool2: bool = False,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        bn_frozen: bool = False,
        checkpoint_stages: Sequence[int] = (),
        zero_init_residual: bool = False,
    ) -> None:
        if depth in DEPTHS and DEPTHS[depth][0] is not Bottleneck3d:
            raise ValueError(f"ResNet3dCSN depth={depth} has no bottlenecks, choose 50, 101 or 152")
        if bottleneck_mode not in ("ir", "ip"):
            raise ValueError(f"ResNet3dCSN has no bottleneck_mode='{bottleneck_mode}', only ir, ip")
        super().__init__(
            depth,
            in_channels,
            num_stages,
            base_channels,
            out_indices=out_indices,
            spatial_strides=spatial_strides,
            temporal_strides=temporal_strides,
            conv1_kernel=conv1_kernel,
            with_pool2=with_pool2,
            inflate_style=bottleneck_mode,
            frozen_stages=frozen_stages,
            norm_eval=norm_eval,
            bn_frozen=bn_frozen,
            checkpoint_stages=checkpoint_stages,
            zero_init_residual=zero_init_residual,
        )
        for norm in batch_norms(self):
            norm.eps = 1e-3
