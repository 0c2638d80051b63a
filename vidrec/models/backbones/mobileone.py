"""MobileOne (Vasu et al., CVPR 2023), parameters named as in MMPretrain's checkpoints."""

from typing import Literal, NamedTuple, TypedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidrec.models.layers.freeze import batch_norms, stop_gradients, stop_statistics
from vidrec.models.layers.stages import check_stages


class Architecture(NamedTuple):
    width: tuple[float, float, float, float]  # of the four stages
    num_branches: int  # convolutions that are summed in training, in each layer but the stem
    num_se_blocks: tuple[int, int, int, int] = (0, 0, 0, 0)  # at the end of each stage


Arch = Literal["s0", "s1", "s2", "s3", "s4"]

# Table 2 and section 3.2.
ARCHITECTURES = {
    "s0": Architecture((0.75, 1.0, 1.0, 2.0), 4),
    "s1": Architecture((1.5, 1.5, 2.0, 2.5), 1),
    "s2": Architecture((1.5, 2.0, 2.5, 4.0), 1),
    "s3": Architecture((2.0, 2.5, 3.0, 4.0), 1),
    "s4": Architecture((3.0, 3.5, 3.5, 4.0), 1, (0, 0, 5, 1)),
}
CHANNELS = (64, 128, 256, 512)
NUM_BLOCKS = (2, 8, 10, 1)


class Branch(nn.Module):
    """Convolution and BatchNorm."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int, groups: int
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            kernel_size // 2,
            groups=groups,
            bias=False,
        )
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, out, h, w)."""
        return self.norm(self.conv(x))


class Pointwise(nn.Module):
    """1x1 convolution with bias."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, 1, 1) -> (B, out, 1, 1)."""
        return self.conv(x)


class SqueezeExcitation(nn.Module):
    """Scales channels by weights computed from the whole image (Hu et al., CVPR 2018)."""

    def __init__(self, channels: int, ratio: int = 16) -> None:
        super().__init__()
        self.conv1 = Pointwise(channels, channels // ratio)
        self.conv2 = Pointwise(channels // ratio, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        pooled = x.mean(dim=(2, 3), keepdim=True)
        return x * self.conv2(self.conv1(pooled).relu()).sigmoid()


class MobileOneBlock(nn.Module):
    """Parallel branches in training, one convolution afterwards (figure 3)."""

    def __init__(  # noqa: PLR0913 - a convolution's arguments and the block's
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int,
        groups: int,
        num_branches: int,
        se: bool,
        deploy: bool,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride, self.groups = kernel_size, stride, groups
        self.se = SqueezeExcitation(out_channels) if se else nn.Identity()
        self.branch_reparam: nn.Conv2d | None = None
        self.branch_norm: nn.BatchNorm2d | None = None
        self.branch_scale: Branch | None = None
        if deploy:
            self.branch_conv_list = nn.ModuleList()
            self.branch_reparam = self._single()
            return
        if in_channels == out_channels and stride == 1:
            self.branch_norm = nn.BatchNorm2d(in_channels)
        if kernel_size > 1:
            self.branch_scale = Branch(in_channels, out_channels, 1, stride, groups)
        self.branch_conv_list = nn.ModuleList(
            Branch(in_channels, out_channels, kernel_size, stride, groups)
            for _ in range(num_branches)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, out, h, w)."""
        if self.branch_reparam is not None:
            return self.se(self.branch_reparam(x)).relu()
        first, *others = self.branch_conv_list
        total = first(x)
        for branch in (*others, self.branch_scale, self.branch_norm):
            if branch is not None:
                total = total + branch(x)
        return self.se(total).relu()

    @torch.no_grad()
    def switch_to_deploy(self) -> None:
        """Merges the branches into one convolution (section 3.1)."""
        if self.branch_reparam is not None:
            return
        branches = [
            self._fused(branch.conv.weight, branch.norm)
            for branch in (*self.branch_conv_list, self.branch_scale)
            if isinstance(branch, Branch)
        ]
        if self.branch_norm is not None:
            per_group = self.in_channels // self.groups
            identity = torch.eye(per_group).repeat(self.groups, 1)[:, :, None, None]
            branches.append(self._fused(identity.to(self.branch_norm.weight), self.branch_norm))
        weights, biases = zip(*branches, strict=True)
        single = self._single().to(weights[0])
        single.load_state_dict({"weight": sum(weights), "bias": sum(biases)})
        self.branch_reparam = single
        self.branch_norm = self.branch_scale = None
        self.branch_conv_list = nn.ModuleList()

    def _single(self) -> nn.Conv2d:
        return nn.Conv2d(
            self.in_channels,
            self.out_channels,
            self.kernel_size,
            self.stride,
            self.kernel_size // 2,
            groups=self.groups,
        )

    def _fused(self, weight: Tensor, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
        """Weight, padded to the block's kernel, and bias of a convolution with its BatchNorm."""
        assert norm.running_mean is not None
        assert norm.running_var is not None
        factor = norm.weight / (norm.running_var + norm.eps).sqrt()
        margin = (self.kernel_size - weight.shape[-1]) // 2
        padded = F.pad(weight, [margin] * 4)
        return padded * factor[:, None, None, None], norm.bias - norm.running_mean * factor


class MobileOneOptions(TypedDict, total=False):
    """Arguments of `MobileOne` that the networks built on it take as well."""

    in_channels: int
    deploy: bool
    frozen_stages: int
    norm_eval: bool


class MobileOne(nn.Module):
    """Images to a feature map of stride 32.

    arch: s0 to s4.
    deploy: build the inference form, one convolution per block, as in deployed checkpoints;
        `switch_to_deploy` converts trained weights to it.
    frozen_stages: the stem (0) and the stages up to this one (1 to 4) are not trained; -1: all are.
    norm_eval: BatchNorm keeps its running statistics in training.
    """

    def __init__(
        self,
        arch: Arch,
        in_channels: int = 3,
        deploy: bool = False,
        frozen_stages: int = -1,
        norm_eval: bool = False,
    ) -> None:
        super().__init__()
        if arch not in ARCHITECTURES:
            raise ValueError(f"MobileOne has no arch='{arch}', choose one of {list(ARCHITECTURES)}")
        check_stages(type(self).__name__, 4, frozen_stages)
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        width, num_branches, num_se_blocks = ARCHITECTURES[arch]

        channels = min(64, int(64 * width[0]))
        self.stage0 = MobileOneBlock(in_channels, channels, 3, 2, 1, 1, False, deploy)
        widths = [int(base * factor) for base, factor in zip(CHANNELS, width, strict=True)]
        for stage in range(4):
            first_se = NUM_BLOCKS[stage] - num_se_blocks[stage]
            blocks = []
            for index in range(NUM_BLOCKS[stage]):
                stride, se = 2 if index == 0 else 1, index >= first_se
                blocks += [  # depthwise, then pointwise
                    MobileOneBlock(
                        channels, channels, 3, stride, channels, num_branches, se, deploy
                    ),
                    MobileOneBlock(channels, widths[stage], 1, 1, 1, num_branches, se, deploy),
                ]
                channels = widths[stage]
            self.add_module(f"stage{stage + 1}", nn.Sequential(*blocks))
        self.out_channels = channels
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        stop_gradients(self._frozen())

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H / 32, W / 32)."""
        for stage in self.children():
            x = stage(x)
        return x

    def train(self, mode: bool = True) -> "MobileOne":
        super().train(mode)
        stop_statistics(self._frozen())
        if self.norm_eval:
            stop_statistics(batch_norms(self))
        return self

    def switch_to_deploy(self) -> "MobileOne":
        """Merges every block into one convolution, in place; for evaluation."""
        for module in list(self.modules()):
            if isinstance(module, MobileOneBlock):
                module.switch_to_deploy()
        return self

    def _frozen(self) -> list[nn.Module]:
        return list(self.children())[: self.frozen_stages + 1]
