"""Non-local block: attention between all positions of a clip (Wang et al., CVPR 2018)."""

from typing import Literal, get_args

import torch.nn.functional as F
from torch import Tensor, nn

Mode = Literal["gaussian", "embedded_gaussian", "dot_product", "concatenation"]


class NonLocal(nn.Module):
    """Adds to each position of a clip a weighted sum over all positions (equation 6).

    mode: how the weights are computed (section 3.2): softmax of x x' ("gaussian") or of theta phi'
        ("embedded_gaussian"), theta phi' over the number of positions ("dot_product"), or ReLU of a
        linear map of both, concatenated ("concatenation").
    reduction: channels over those of the embeddings.
    use_scale: "embedded_gaussian" divides by the square root of the embeddings' channels.
    sub_sample: max-pool phi and g by 2 in space (section 3.3).
    zero_init: the block starts as the identity (section 4.1).
    """

    def __init__(
        self,
        in_channels: int,
        mode: Mode = "embedded_gaussian",
        reduction: int = 2,
        use_scale: bool = True,
        sub_sample: bool = False,
        zero_init: bool = True,
    ) -> None:
        super().__init__()
        if mode not in get_args(Mode):
            raise ValueError(f"NonLocal has no mode='{mode}', choose one of {get_args(Mode)}")
        self.mode = mode
        self.use_scale = use_scale
        channels = max(in_channels // reduction, 1)
        self.g: nn.Module = Pointwise(in_channels, channels)
        self.conv_out = Pointwise(channels, in_channels, norm=True)
        if mode == "concatenation":
            self.concat_project = Pointwise(2 * channels, 1, bias=False)
        if mode != "gaussian":
            self.theta = Pointwise(in_channels, channels)
            self.phi: nn.Module = Pointwise(in_channels, channels)
        if sub_sample:
            pool = nn.MaxPool3d((1, 2, 2))
            self.g = nn.Sequential(self.g, pool)
            self.phi = pool if mode == "gaussian" else nn.Sequential(self.phi, pool)
        elif mode == "gaussian":
            self.phi = nn.Identity()
        if zero_init:
            nn.init.zeros_(self.conv_out.bn.get_parameter("weight"))

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, T, H, W) -> the same shape."""
        theta = _positions(x if self.mode == "gaussian" else self.theta(x))
        phi, g = _positions(self.phi(x)), _positions(self.g(x))
        match self.mode:
            case "gaussian":
                y = F.scaled_dot_product_attention(theta, phi, g, scale=1.0)
            case "embedded_gaussian":
                scale = theta.shape[-1] ** -0.5 if self.use_scale else 1.0
                y = F.scaled_dot_product_attention(theta, phi, g, scale=scale)
            case "dot_product":
                # Without a softmax, phi' g can come first: no matrix of all pairs.
                y = theta @ (phi.transpose(1, 2) @ g / phi.shape[1])
            case _:
                # A linear map of a concatenation is the sum of two linear maps.
                of_theta, of_phi = self.concat_project.conv.weight.flatten().chunk(2)
                weights = F.relu((theta @ of_theta)[:, :, None] + (phi @ of_phi)[:, None])
                y = weights @ g / phi.shape[1]
        return x + self.conv_out(y.transpose(1, 2).unflatten(2, x.shape[2:]))


class Pointwise(nn.Module):
    """A 1x1x1 convolution with a bias or, if `norm`, BatchNorm; named as in checkpoints."""

    def __init__(
        self, in_channels: int, out_channels: int, norm: bool = False, bias: bool = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv3d(in_channels, out_channels, 1, bias=bias and not norm)
        nn.init.normal_(self.conv.weight, std=0.01)
        if self.conv.bias is not None:
            nn.init.zeros_(self.conv.bias)
        self.bn = nn.BatchNorm3d(out_channels) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, T, H, W) -> (B, out_channels, T, H, W)."""
        return self.bn(self.conv(x))


def _positions(x: Tensor) -> Tensor:
    """(B, C, T, H, W) -> (B, T * H * W, C)."""
    return x.flatten(2).transpose(1, 2)
