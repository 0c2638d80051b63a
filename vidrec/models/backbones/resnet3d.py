"""Residual networks over clips: I3D (Carreira and Zisserman, CVPR 2017) on ResNet, and SlowOnly."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar, Literal, TypedDict, Unpack, get_args

from torch import Tensor, nn

from vidrec.models.layers.checkpoint import run_blocks
from vidrec.models.layers.conv3d import ConvBN3d, Size
from vidrec.models.layers.freeze import batch_norms, stop_gradients, stop_statistics
from vidrec.models.layers.non_local import Mode, NonLocal
from vidrec.models.layers.stages import check_stages

# How a bottleneck convolves over time: a 3x1x1 kernel before the spatial one, one 3x3x3 kernel, or
# a depthwise 3x3x3 one (ir) that a 1x1x1 precedes (ip).
InflateStyle = Literal["3x1x1", "3x3x3", "ir", "ip"]
Flags = Sequence[int | Sequence[int]]  # one per stage, or a list with one per block


class BasicBlock3d(nn.Module):
    """Two 3x3 convolutions, the first of them 3x3x3 if inflated."""

    expansion = 1

    def __init__(  # noqa: PLR0913 - both kinds of block have one signature
        self,
        in_channels: int,
        channels: int,
        stride: Size,
        dilation: int,
        inflate: bool,
        inflate_style: InflateStyle,
        downsample: nn.Module | None,
        non_local: nn.Module | None,
        conv: type[ConvBN3d],
    ) -> None:
        super().__init__()
        kernel = (3 if inflate else 1, 3, 3)
        self.conv1 = conv(in_channels, channels, kernel, stride, (1, dilation, dilation))
        self.conv2 = conv(channels, channels, kernel, relu=False)
        self.downsample = downsample
        self.relu = nn.ReLU(inplace=True)
        self.non_local_block = non_local

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, out, t, h, w)."""
        identity = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.conv2(self.conv1(x)) + identity)
        return x if self.non_local_block is None else self.non_local_block(x)

    def last_norm(self) -> nn.BatchNorm3d:
        return self.conv2.bn


class Bottleneck3d(nn.Module):
    """1x1, 3x3 and 1x1 convolutions; `inflate_style` says which of them are inflated."""

    expansion = 4

    def __init__(  # noqa: PLR0913 - both kinds of block have one signature
        self,
        in_channels: int,
        channels: int,
        stride: Size,
        dilation: int,
        inflate: bool,
        inflate_style: InflateStyle,
        downsample: nn.Module | None,
        non_local: nn.Module | None,
        conv: type[ConvBN3d],
    ) -> None:
        super().__init__()
        before = inflate and inflate_style == "3x1x1"
        self.conv1 = conv(in_channels, channels, (3 if before else 1, 1, 1))
        kernel = (3 if inflate and not before else 1, 3, 3)
        depthwise = inflate_style in ("ir", "ip")
        self.conv2: nn.Module = conv(
            channels,
            channels,
            kernel,
            stride,
            (1, dilation, dilation),
            groups=channels if depthwise else 1,
        )
        if depthwise:
            mixing = [conv(channels, channels, relu=False)] if inflate_style == "ip" else []
            self.conv2 = nn.Sequential(*mixing, self.conv2)
        self.conv3 = conv(channels, channels * self.expansion, relu=False)
        self.downsample = downsample
        self.relu = nn.ReLU(inplace=True)
        self.non_local_block = non_local

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) -> (B, out, t, h, w)."""
        identity = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.conv3(self.conv2(self.conv1(x))) + identity)
        return x if self.non_local_block is None else self.non_local_block(x)

    def last_norm(self) -> nn.BatchNorm3d:
        return self.conv3.bn


Block = type[BasicBlock3d] | type[Bottleneck3d]

# He et al., CVPR 2016, table 1.
DEPTHS: dict[int, tuple[Block, tuple[int, int, int, int]]] = {
    18: (BasicBlock3d, (2, 2, 2, 2)),
    34: (BasicBlock3d, (3, 4, 6, 3)),
    50: (Bottleneck3d, (3, 4, 6, 3)),
    101: (Bottleneck3d, (3, 4, 23, 3)),
    152: (Bottleneck3d, (3, 8, 36, 3)),
}


class ResNet3dOptions(TypedDict, total=False):
    """Arguments of `ResNet3d` that the networks built on it take as well, with their meaning."""

    in_channels: int
    num_stages: int
    base_channels: int
    out_indices: Sequence[int] | None
    spatial_strides: Sequence[int]
    temporal_strides: Sequence[int]
    dilations: Sequence[int]
    conv1_kernel: Sequence[int]
    conv1_stride_s: int
    conv1_stride_t: int
    pool1_stride_s: int
    pool1_stride_t: int
    with_pool1: bool
    with_pool2: bool
    inflate: Flags
    inflate_style: InflateStyle
    non_local: Flags
    non_local_mode: Mode
    non_local_use_scale: bool
    non_local_sub_sample: bool
    frozen_stages: int
    norm_eval: bool
    bn_frozen: bool
    checkpoint_stages: Sequence[int]
    zero_init_residual: bool


class ResNet3d(nn.Module):
    """Clips to feature maps.

    depth: 18, 34, 50, 101 or 152.
    num_stages: number of stages, at most 4.
    base_channels: channels of the stem; each stage has twice those of the one before.
    out_indices: stages, counted from 0, whose maps are returned; null: the last one.
    spatial_strides, temporal_strides, dilations: one value per stage.
    conv1_kernel: T, H, W of the stem's convolution; conv1_stride_s and _t its strides.
    pool1_stride_s, pool1_stride_t: strides of the stem's pooling. with_pool1: whether there is one.
    with_pool2: the first stage is followed by max pooling over pairs of frames.
    inflate: which stages, or which of their blocks, convolve over time.
    inflate_style: where in a block they do; see `InflateStyle`.
    non_local: which stages, or which of their blocks, are followed by non-local blocks.
    non_local_mode, non_local_use_scale, non_local_sub_sample: see `NonLocal`.
    frozen_stages: the stem (0) and the stages up to this one (1 to 4) are not trained; -1: all are.
    norm_eval: BatchNorm keeps its running statistics in training.
    bn_frozen: the weights of BatchNorm are not trained either.
    checkpoint_stages: stages, counted from 1, whose activations are recomputed in the backward
        pass: less memory, more time.
    zero_init_residual: blocks start as the identity (Goyal et al., 2017, section 5.1).
    extra_channels: channels that are concatenated to the input of each stage (lateral connections).
    """

    conv: ClassVar[type[ConvBN3d]] = ConvBN3d

    def __init__(  # noqa: PLR0913 - the signature is the configuration
        self,
        depth: int,
        in_channels: int = 3,
        num_stages: int = 4,
        base_channels: int = 64,
        out_indices: Sequence[int] | None = None,
        spatial_strides: Sequence[int] = (1, 2, 2, 2),
        temporal_strides: Sequence[int] = (1, 1, 1, 1),
        dilations: Sequence[int] = (1, 1, 1, 1),
        conv1_kernel: Sequence[int] = (3, 7, 7),
        conv1_stride_s: int = 2,
        conv1_stride_t: int = 1,
        pool1_stride_s: int = 2,
        pool1_stride_t: int = 1,
        with_pool1: bool = True,
        with_pool2: bool = True,
        inflate: Flags = (1, 1, 1, 1),
        inflate_style: InflateStyle = "3x1x1",
        non_local: Flags = (0, 0, 0, 0),
        non_local_mode: Mode = "embedded_gaussian",
        non_local_use_scale: bool = True,
        non_local_sub_sample: bool = True,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        bn_frozen: bool = False,
        checkpoint_stages: Sequence[int] = (),
        zero_init_residual: bool = True,
        extra_channels: Sequence[int] = (0, 0, 0, 0),
    ) -> None:
        super().__init__()
        name = type(self).__name__
        block, num_blocks = _blocks_of_depth(name, depth, num_stages)
        if inflate_style not in get_args(InflateStyle):
            raise ValueError(
                f"{name} has no inflate_style='{inflate_style}', choose 3x1x1, 3x3x3, ir or ip"
            )
        self.out_indices = (num_stages - 1,) if out_indices is None else tuple(out_indices)
        check_stages(name, num_stages, frozen_stages, checkpoint_stages, self.out_indices)
        _check_lengths(
            name,
            num_stages,
            spatial_strides=spatial_strides,
            temporal_strides=temporal_strides,
            dilations=dilations,
            inflate=inflate,
            non_local=non_local,
            extra_channels=extra_channels,
        )
        self.in_channels = in_channels
        self.base_channels = base_channels
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.checkpoint_stages = tuple(checkpoint_stages)

        t, h, w = conv1_kernel
        stride = (conv1_stride_t, conv1_stride_s, conv1_stride_s)
        self.conv1 = self.conv(in_channels, base_channels, (t, h, w), stride)
        stride = (pool1_stride_t, pool1_stride_s, pool1_stride_s)
        self.maxpool = nn.MaxPool3d((1, 3, 3), stride, padding=(0, 1, 1)) if with_pool1 else None
        self.pool2 = nn.MaxPool3d((2, 1, 1)) if with_pool2 else None
        make_non_local = partial(
            NonLocal,
            mode=non_local_mode,
            use_scale=non_local_use_scale,
            sub_sample=non_local_sub_sample,
        )
        width = base_channels
        for index in range(num_stages):
            channels = base_channels * 2**index
            stage = self._build_stage(
                partial(
                    block,
                    channels=channels,
                    dilation=dilations[index],
                    inflate_style=inflate_style,
                    conv=self.conv,
                ),
                make_non_local,
                (width + extra_channels[index], channels * block.expansion),
                (temporal_strides[index], spatial_strides[index], spatial_strides[index]),
                _for_blocks(f"{name} inflate", inflate[index], num_blocks[index]),
                _for_blocks(f"{name} non_local", non_local[index], num_blocks[index]),
            )
            self.add_module(f"layer{index + 1}", stage)
            width = channels * block.expansion
        self.out_channels = base_channels * 2 ** self.out_indices[-1] * block.expansion

        self._initialise(zero_init_residual)
        stop_gradients(self._frozen())
        if bn_frozen:
            stop_gradients(batch_norms(self))

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """(B, in_channels, T, H, W) -> (B, out_channels, T', H / 32, W / 32); a tuple for several.

        Sizes for the default strides. T' follows from the temporal strides and poolings.
        """
        x = self.stem(x)
        maps = []
        for index in range(len(self.stages())):
            x = self.stage(index, x)
            if index == 0 and self.pool2 is not None:
                x = self.pool2(x)
            if index in self.out_indices:
                maps.append(x)
        return maps[0] if len(maps) == 1 else tuple(maps)

    def stem(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        return x if self.maxpool is None else self.maxpool(x)

    def stage(self, index: int, x: Tensor) -> Tensor:
        recompute = self.training and index + 1 in self.checkpoint_stages
        return run_blocks(self.stages()[index], x, recompute)

    def stages(self) -> list[nn.Sequential]:
        """The stages, each a sequence of blocks."""
        named = [getattr(self, f"layer{number}", None) for number in range(1, 5)]
        return [stage for stage in named if stage is not None]

    def train(self, mode: bool = True) -> "ResNet3d":
        super().train(mode)
        stop_statistics(self._frozen())
        if self.norm_eval:
            stop_statistics(batch_norms(self))
        return self

    def _build_stage(
        self,
        make_block: Callable[..., nn.Module],
        make_non_local: Callable[[int], NonLocal],
        widths: tuple[int, int],
        stride: Size,
        inflate: Sequence[bool],
        non_local: Sequence[bool],
    ) -> nn.Sequential:
        """Blocks from widths[0] to widths[1] channels; the first has the stride."""
        width, out_channels = widths
        blocks: list[nn.Module] = []
        for inflated, attends in zip(inflate, non_local, strict=True):
            downsample = None
            if stride != (1, 1, 1) or width != out_channels:
                downsample = self.conv(width, out_channels, (1, 1, 1), stride, relu=False)
            block = make_block(
                in_channels=width,
                stride=stride,
                inflate=inflated,
                downsample=downsample,
                non_local=make_non_local(out_channels) if attends else None,
            )
            blocks.append(block)
            width, stride = out_channels, (1, 1, 1)
        return nn.Sequential(*blocks)

    def _frozen(self) -> list[nn.Module]:
        if self.frozen_stages < 0:
            return []
        return [self.conv1, *self.stages()[: self.frozen_stages]]

    def _initialise(self, zero_init_residual: bool) -> None:
        """He et al., ICCV 2015, for convolutions; non-local blocks initialise themselves."""
        own = {
            id(conv)
            for block in self.modules()
            if isinstance(block, NonLocal)
            for conv in block.modules()
        }
        for module in self.modules():
            if isinstance(module, nn.Conv3d) and id(module) not in own:
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, BasicBlock3d | Bottleneck3d) and zero_init_residual:
                nn.init.zeros_(module.last_norm().weight)


class ResNet3dSlowOnly(ResNet3d):
    """The slow pathway of SlowFast alone (Feichtenhofer et al., ICCV 2019, section 4.1).

    Convolves over time in the last two stages only, and keeps the frame rate.
    """

    def __init__(self, depth: int, **options: Unpack[ResNet3dOptions]) -> None:
        defaults = ResNet3dOptions(conv1_kernel=(1, 7, 7), with_pool2=False, inflate=(0, 0, 1, 1))
        super().__init__(depth, **(defaults | options))


def _blocks_of_depth(
    name: str, depth: int, num_stages: int
) -> tuple[Block, tuple[int, int, int, int]]:
    if depth not in DEPTHS:
        raise ValueError(f"{name} has no depth={depth}, choose one of {list(DEPTHS)}")
    if not 1 <= num_stages <= 4:
        raise ValueError(f"{name} num_stages={num_stages} is not in 1 to 4")
    return DEPTHS[depth]


def _check_lengths(name: str, num_stages: int, **per_stage: Sequence[object]) -> None:
    for key, values in per_stage.items():
        if len(values) < num_stages:
            raise ValueError(
                f"{name} {key}={list(values)} has {len(values)} values for {num_stages} stages"
            )


def _for_blocks(name: str, flags: int | Sequence[int], num_blocks: int) -> list[bool]:
    if isinstance(flags, int):
        return [bool(flags)] * num_blocks
    if len(flags) != num_blocks:
        raise ValueError(f"{name}: {list(flags)} has {len(flags)} values for {num_blocks} blocks")
    return [bool(flag) for flag in flags]
