"""Feature bank operators: relate the features of a box to those of the minute around it.

Wu et al., Long-Term Feature Banks for Detailed Video Understanding, CVPR 2019, section 3.3.
Short-term features are those of a box; long-term features are those of earlier and later boxes,
from a bank.
"""

import torch
from torch import Tensor, nn

from vidrec.models.heads.bbox_head import Pooling, check_pooling, pool_box


class FBOHead(nn.Module):
    """Concatenates the output of a feature bank operator to the pooled features of each box.

    fbo: short-term features (R, C, 1, 1, 1) and long-term ones (R, D, L, 1, 1) -> (R, E, 1, 1, 1).
    temporal_pool_type, spatial_pool_type: `avg` or `max`; time is pooled first.
    """

    def __init__(
        self,
        fbo: nn.Module,
        temporal_pool_type: Pooling = "avg",
        spatial_pool_type: Pooling = "max",
    ) -> None:
        super().__init__()
        check_pooling(temporal_pool_type=temporal_pool_type, spatial_pool_type=spatial_pool_type)
        self.fbo = fbo
        self.temporal_pool_type = temporal_pool_type
        self.spatial_pool_type = spatial_pool_type

    def forward(self, x: Tensor, joined: Tensor, views: Tensor, bank: Tensor | None) -> Tensor:
        """Features (R, C, t, s, s) and the bank (B, L, D) of all views -> (R, C + E, 1, 1, 1).

        views: (R,), the view of each box. Raises ValueError without a bank.
        """
        if bank is None:
            raise ValueError(
                "the model needs a bank of long-term features, but the data has none: create one "
                "with `vidrec bank` and set data.train.bank and data.val.bank"
            )
        x = pool_box(x, self.temporal_pool_type, self.spatial_pool_type)[..., None, None, None]
        long_term = bank.to(x.dtype).transpose(1, 2)[views, ..., None, None]
        return torch.cat([x, self.fbo(x, long_term)], dim=1)


class FBONonLocal(nn.Module):
    """Several layers of attention from a box to the bank (section 3.3, figure 4).

    st_feat_channels, lt_feat_channels: channels of the short-term and the long-term features.
    latent_channels: channels inside the layers.
    num_st_feat, num_lt_feat: number of short-term and of long-term features.
    pre_activate: norm and ReLU come before the last convolution of a layer, not after it.
    zero_init_out_conv: that convolution is initialised to zero, so that layers start as identity.
    """

    def __init__(  # noqa: PLR0913 - the signature is the configuration
        self,
        st_feat_channels: int,
        lt_feat_channels: int,
        latent_channels: int,
        num_st_feat: int,
        num_lt_feat: int,
        num_non_local_layers: int = 2,
        st_feat_dropout_ratio: float = 0.2,
        lt_feat_dropout_ratio: float = 0.2,
        pre_activate: bool = True,
        zero_init_out_conv: bool = False,
    ) -> None:
        super().__init__()
        if num_non_local_layers < 1:
            raise ValueError(f"num_non_local_layers={num_non_local_layers} is less than 1")
        self.num_lt_feat = num_lt_feat
        self.pre_activate = pre_activate
        self.st_feat_conv = _pointwise(st_feat_channels, latent_channels)
        self.lt_feat_conv = _pointwise(lt_feat_channels, latent_channels)
        self.st_feat_dropout = nn.Dropout(st_feat_dropout_ratio)
        self.lt_feat_dropout = nn.Dropout(lt_feat_dropout_ratio)
        self.layer_names = [f"non_local_layer_{i}" for i in range(1, num_non_local_layers + 1)]
        for name in self.layer_names:
            layer = NonLocalLayer(
                latent_channels, num_st_feat, pre_activate, zero_init_out_conv=zero_init_out_conv
            )
            self.add_module(name, layer)

    def forward(self, st_feat: Tensor, lt_feat: Tensor) -> Tensor:
        """(R, C, 1, 1, 1) and (R, D, L, 1, 1) -> (R, latent_channels, 1, 1, 1)."""
        if lt_feat.shape[2] != self.num_lt_feat:
            raise ValueError(
                f"the bank has {lt_feat.shape[2]} long-term features (window_size x "
                f"max_num_sampled_feat), but the model has num_lt_feat={self.num_lt_feat}"
            )
        for name, feature, convolution in (
            ("st_feat_channels", st_feat, self.st_feat_conv),
            ("lt_feat_channels", lt_feat, self.lt_feat_conv),
        ):
            if feature.shape[1] != convolution.in_channels:
                raise ValueError(
                    f"model.net.roi_head.shared_head.fbo.{name}={convolution.in_channels}, but the "
                    f"features have {feature.shape[1]} channels"
                )
        x = self.st_feat_dropout(self.st_feat_conv(st_feat))
        bank = self.lt_feat_dropout(self.lt_feat_conv(lt_feat))
        for name in self.layer_names:
            x = x + self.get_submodule(name)(x, bank)
            x = x if self.pre_activate else x.relu()
        return x


class NonLocalLayer(nn.Module):
    """Scaled dot-product attention from short-term to long-term features."""

    def __init__(
        self,
        channels: int,
        num_st_feat: int,
        pre_activate: bool,
        dropout_ratio: float = 0.2,
        zero_init_out_conv: bool = False,
    ) -> None:
        super().__init__()
        self.pre_activate = pre_activate
        self.st_feat_conv = Pointwise(channels)
        self.lt_feat_conv = Pointwise(channels)
        self.global_conv = Pointwise(channels)
        self.ln = nn.LayerNorm([channels, num_st_feat, 1, 1])
        self.out_conv = Pointwise(channels)
        if zero_init_out_conv:
            nn.init.zeros_(self.out_conv.conv.weight)
        self.dropout = nn.Dropout(dropout_ratio)

    def forward(self, x: Tensor, bank: Tensor) -> Tensor:
        """(R, C, S, 1, 1) and (R, C, L, 1, 1) -> (R, C, S, 1, 1)."""
        theta = self.st_feat_conv(x).flatten(2)
        phi = self.lt_feat_conv(bank).flatten(2)
        values = self.global_conv(bank).flatten(2)
        weights = (theta.transpose(1, 2) @ phi / theta.shape[1] ** 0.5).softmax(dim=-1)
        out = (values @ weights.transpose(1, 2))[..., None, None]
        if self.pre_activate:
            return self.dropout(self.out_conv(self.ln(out).relu()))
        return self.dropout(self.ln(self.out_conv(out)))


class Pointwise(nn.Module):
    """A 1x1x1 convolution, named as in published checkpoints."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = _pointwise(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(R, D, L, 1, 1) -> the same shape."""
        return self.conv(x)


def _pointwise(in_channels: int, out_channels: int) -> nn.Conv3d:
    convolution = nn.Conv3d(in_channels, out_channels, 1)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    assert convolution.bias is not None
    nn.init.zeros_(convolution.bias)
    return convolution


class FBOAvg(nn.Module):
    """The mean of the bank (section 3.3)."""

    def forward(self, st_feat: Tensor, lt_feat: Tensor) -> Tensor:
        """(R, D, L, 1, 1) -> (R, D, 1, 1, 1)."""
        return lt_feat.mean(dim=2, keepdim=True)


class FBOMax(nn.Module):
    """The maximum of the bank (section 3.3)."""

    def forward(self, st_feat: Tensor, lt_feat: Tensor) -> Tensor:
        """(R, D, L, 1, 1) -> (R, D, 1, 1, 1)."""
        return lt_feat.amax(dim=2, keepdim=True)
