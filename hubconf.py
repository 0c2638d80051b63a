"""Networks for `torch.hub`, from a checkout or by the name of its repository.

    net = torch.hub.load("path/to/vidrec", "slowonly_r50", source="local", num_classes=10)
    net = torch.hub.load("path/to/vidrec", "load_model", "runs/tsn_tiny_shapes", source="local")

The networks by name are those of `vidrec.create_model`: `net(x)` takes normalised clips
(N, C, T, H, W) and gives logits (N, K). All of them take the same arguments:

    num_classes: K; by default 400, as in Kinetics-400.
    pretrained: load the published weights, whose top-1 of all views is stated.
    weights: a file, a URL or `zoo://RECIPE` instead.

The docstrings, which `torch.hub.help` prints, say what the clips of each are.
"""

from torch import nn

from vidrec import create_model as create_model
from vidrec import list_models as list_models
from vidrec import load_model as load_model

dependencies = ["torch", "torchvision", "hydra", "omegaconf", "timm", "numpy", "av", "tqdm"]


def tsn_r50(
    num_classes: int | None = None, pretrained: bool = False, weights: str | None = None
) -> nn.Module:
    """TSN (Wang et al., ECCV 2016), ResNet-50.

    Clips: 8 segments, 224 px. Top-1 on Kinetics-400: 74.12.
    """
    return _create(
        "tsn_imagenet-pretrained-r50_8xb32-1x1x8-100e_kinetics400-rgb",
        num_classes,
        pretrained,
        weights,
    )


def tsn_r101(
    num_classes: int | None = None, pretrained: bool = False, weights: str | None = None
) -> nn.Module:
    """TSN (Wang et al., ECCV 2016), ResNet-101.

    Clips: 8 segments, 224 px. Top-1 on Kinetics-400: 75.89.
    """
    return _create(
        "tsn_imagenet-pretrained-r101_8xb32-1x1x8-100e_kinetics400-rgb",
        num_classes,
        pretrained,
        weights,
    )


def tsm_r50(
    num_classes: int | None = None, pretrained: bool = False, weights: str | None = None
) -> nn.Module:
    """TSM (Lin et al., ICCV 2019), ResNet-50.

    Clips: 8 segments, 224 px. Top-1 on Kinetics-400: 73.18.
    """
    return _create(
        "tsm_imagenet-pretrained-r50_8xb16-1x1x8-50e_kinetics400-rgb",
        num_classes,
        pretrained,
        weights,
    )


def tanet_r50(
    num_classes: int | None = None, pretrained: bool = False, weights: str | None = None
) -> nn.Module:
    """TANet (Liu et al., ICCV 2021), ResNet-50.

    Clips: 8 segments, 224 px. Top-1 on Kinetics-400: 76.25.
    """
    return _create(
        "tanet_imagenet-pretrained-r50_8xb8-dense-1x1x8-100e_kinetics400-rgb",
        num_classes,
        pretrained,
        weights,
    )


def c2d_r50(
    num_classes: int | None = None, pretrained: bool = False, weights: str | None = None
) -> nn.Module:
    """C2D (Wang et al., CVPR 2018), ResNet-50.

    Clips: 8 frames, one in 8, 224 px. Top-1 on Kinetics-400: 73.89.
    """
    return _create(
        "c2d_r50-in1k-pre_8xb32-8x8x1-100e_kinetics400-rgb", num_classes, pretrained, weights
    )


def i3d_r50(
    num_classes: int | None = None, pretrained: bool = False, weights: str | None = None
) -> nn.Module:
    """I3D (Carreira and Zisserman, CVPR 2017), ResNet-50.

    Clips: 32 frames, one in 2, 224 px. Top-1 on Kinetics-400: 73.47.
    """
    return _create(
        "i3d_imagenet-pretrained-r50_8xb8-32x2x1-100e_kinetics400-rgb",
        num_classes,
        pretrained,
        weights,
    )


def slowonly_r50(
    num_classes: int | None = None, pretrained: bool = False, weights: str | None = None
) -> nn.Module:
    """SlowOnly (Feichtenhofer et al., ICCV 2019), ResNet-50.

    Clips: 8 frames, one in 8, 224 px. Top-1 on Kinetics-400: 74.82.
    """
    return _create(
        "slowonly_r50_8xb16-8x8x1-256e_kinetics400-rgb", num_classes, pretrained, weights
    )


def slowonly_r101(
    num_classes: int | None = None, pretrained: bool = False, weights: str | None = None
) -> nn.Module:
    """SlowOnly (Feichtenhofer et al., ICCV 2019), ResNet-101.

    Clips: 8 frames, one in 8, 224 px. Top-1 on Kinetics-400: 76.28.
    """
    return _create(
        "slowonly_r101_8xb16-8x8x1-196e_kinetics400-rgb", num_classes, pretrained, weights
    )


def slowfast_r50(
    num_classes: int | None = None, pretrained: bool = False, weights: str | None = None
) -> nn.Module:
    """SlowFast (Feichtenhofer et al., ICCV 2019), ResNet-50.

    Clips: 32 frames, one in 2, 224 px. Top-1 on Kinetics-400: 76.8.
    """
    return _create("slowfast_r50_8xb8-8x8x1-256e_kinetics400-rgb", num_classes, pretrained, weights)


def slowfast_r101(
    num_classes: int | None = None, pretrained: bool = False, weights: str | None = None
) -> nn.Module:
    """SlowFast (Feichtenhofer et al., ICCV 2019), ResNet-101.

    Clips: 32 frames, one in 2, 224 px. Top-1 on Kinetics-400: 78.65.
    """
    return _create(
        "slowfast_r101_8xb8-8x8x1-256e_kinetics400-rgb", num_classes, pretrained, weights
    )


def r2plus1d_r34(
    num_classes: int | None = None, pretrained: bool = False, weights: str | None = None
) -> nn.Module:
    """R(2+1)D (Tran et al., CVPR 2018), 34 layers.

    Clips: 32 frames, one in 2, 224 px. Top-1 on Kinetics-400: 75.46.
    """
    return _create(
        "r2plus1d_r34_8xb8-32x2x1-180e_kinetics400-rgb", num_classes, pretrained, weights
    )


def csn_r152(
    num_classes: int | None = None, pretrained: bool = False, weights: str | None = None
) -> nn.Module:
    """ir-CSN (Tran et al., ICCV 2019), 152 layers, from IG-65M.

    Clips: 32 frames, one in 2, 224 px. Top-1 on Kinetics-400: 82.84.
    """
    return _create(
        "ircsn_ig65m-pretrained-r152-bnfrozen_8xb12-32x2x1-58e_kinetics400-rgb",
        num_classes,
        pretrained,
        weights,
    )


def csn_r50(
    num_classes: int | None = None, pretrained: bool = False, weights: str | None = None
) -> nn.Module:
    """ir-CSN (Tran et al., ICCV 2019), 50 layers, from IG-65M.

    Clips: 32 frames, one in 2, 224 px. Top-1 on Kinetics-400: 79.44.
    """
    return _create(
        "ircsn_ig65m-pretrained-r50-bnfrozen_8xb12-32x2x1-58e_kinetics400-rgb",
        num_classes,
        pretrained,
        weights,
    )


def x3d_s(
    num_classes: int | None = None, pretrained: bool = False, weights: str | None = None
) -> nn.Module:
    """X3D-S (Feichtenhofer, CVPR 2020).

    Clips: 13 frames, one in 6, 160 px. Top-1 on Kinetics-400: 73.3.
    """
    return _create("x3d_s_13x6x1_facebook-kinetics400-rgb", num_classes, pretrained, weights)


def x3d_m(
    num_classes: int | None = None, pretrained: bool = False, weights: str | None = None
) -> nn.Module:
    """X3D-M (Feichtenhofer, CVPR 2020).

    Clips: 16 frames, one in 5, 224 px. Top-1 on Kinetics-400: 76.4.
    """
    return _create("x3d_m_16x5x1_facebook-kinetics400-rgb", num_classes, pretrained, weights)


def c3d(
    num_classes: int | None = None, pretrained: bool = False, weights: str | None = None
) -> nn.Module:
    """C3D (Tran et al., ICCV 2015), 101 classes.

    Clips: 16 frames, 112 px. Top-1 on UCF101: 83.08.
    """
    return _create(
        "c3d_sports1m-pretrained_8xb30-16x1x1-45e_ucf101-rgb", num_classes, pretrained, weights
    )


def timesformer(
    num_classes: int | None = None, pretrained: bool = False, weights: str | None = None
) -> nn.Module:
    """TimeSformer (Bertasius et al., ICML 2021), divided attention.

    Clips: 8 frames, one in 32, 224 px. Top-1 on Kinetics-400: 77.69.
    """
    return _create(
        "timesformer_divST_8xb8-8x32x1-15e_kinetics400-rgb", num_classes, pretrained, weights
    )


def swin3d_t(
    num_classes: int | None = None, pretrained: bool = False, weights: str | None = None
) -> nn.Module:
    """Video Swin-T (Liu et al., CVPR 2022).

    Clips: 32 frames, one in 2, 224 px. Top-1 on Kinetics-400: 78.9.
    """
    return _create(
        "swin-tiny-p244-w877_in1k-pre_8xb8-amp-32x2x1-30e_kinetics400-rgb",
        num_classes,
        pretrained,
        weights,
    )


def swin3d_s(
    num_classes: int | None = None, pretrained: bool = False, weights: str | None = None
) -> nn.Module:
    """Video Swin-S (Liu et al., CVPR 2022).

    Clips: 32 frames, one in 2, 224 px. Top-1 on Kinetics-400: 80.54.
    """
    return _create(
        "swin-small-p244-w877_in1k-pre_8xb8-amp-32x2x1-30e_kinetics400-rgb",
        num_classes,
        pretrained,
        weights,
    )


def swin3d_b(
    num_classes: int | None = None, pretrained: bool = False, weights: str | None = None
) -> nn.Module:
    """Video Swin-B (Liu et al., CVPR 2022).

    Clips: 32 frames, one in 2, 224 px. Top-1 on Kinetics-400: 80.57.
    """
    return _create(
        "swin-base-p244-w877_in1k-pre_8xb8-amp-32x2x1-30e_kinetics400-rgb",
        num_classes,
        pretrained,
        weights,
    )


def mvit_s(
    num_classes: int | None = None, pretrained: bool = False, weights: str | None = None
) -> nn.Module:
    """MViTv2-S (Li et al., CVPR 2022).

    Clips: 16 frames, one in 4, 224 px. Top-1 on Kinetics-400: 80.6.
    """
    return _create(
        "mvit-small-p244_32xb16-16x4x1-200e_kinetics400-rgb", num_classes, pretrained, weights
    )


def mvit_b(
    num_classes: int | None = None, pretrained: bool = False, weights: str | None = None
) -> nn.Module:
    """MViTv2-B (Li et al., CVPR 2022).

    Clips: 32 frames, one in 3, 224 px. Top-1 on Kinetics-400: 81.1.
    """
    return _create("mvit-base-p244_32x3x1_kinetics400-rgb", num_classes, pretrained, weights)


def videomae_b(
    num_classes: int | None = None, pretrained: bool = False, weights: str | None = None
) -> nn.Module:
    """VideoMAE ViT-B (Tong et al., NeurIPS 2022).

    Clips: 16 frames, one in 4, 224 px. Top-1 on Kinetics-400: 81.3.
    """
    return _create(
        "vit-base-p16_videomae-k400-pre_16x4x1_kinetics-400", num_classes, pretrained, weights
    )


def videomae_l(
    num_classes: int | None = None, pretrained: bool = False, weights: str | None = None
) -> nn.Module:
    """VideoMAE ViT-L (Tong et al., NeurIPS 2022).

    Clips: 16 frames, one in 4, 224 px. Top-1 on Kinetics-400: 85.3.
    """
    return _create(
        "vit-large-p16_videomae-k400-pre_16x4x1_kinetics-400", num_classes, pretrained, weights
    )


def uniformer_s(
    num_classes: int | None = None, pretrained: bool = False, weights: str | None = None
) -> nn.Module:
    """UniFormer-S (Li et al., ICLR 2022).

    Clips: 16 frames, one in 4, 224 px. Top-1 on Kinetics-400: 80.9.
    """
    return _create(
        "uniformer-small_imagenet1k-pre_16x4x1_kinetics400-rgb", num_classes, pretrained, weights
    )


def uniformer_b(
    num_classes: int | None = None, pretrained: bool = False, weights: str | None = None
) -> nn.Module:
    """UniFormer-B (Li et al., ICLR 2022).

    Clips: 16 frames, one in 4, 224 px. Top-1 on Kinetics-400: 82.
    """
    return _create(
        "uniformer-base_imagenet1k-pre_16x4x1_kinetics400-rgb", num_classes, pretrained, weights
    )


def uniformerv2_b(
    num_classes: int | None = None, pretrained: bool = False, weights: str | None = None
) -> nn.Module:
    """UniFormerV2-B (Li et al., ICCV 2023), from CLIP.

    Clips: 8 frames of equal parts, 224 px. Top-1 on Kinetics-400: 84.3.
    """
    return _create(
        "uniformerv2-base-p16-res224_clip_8xb32-u8_kinetics400-rgb",
        num_classes,
        pretrained,
        weights,
    )


def _create(
    recipe: str, num_classes: int | None, pretrained: bool, weights: str | None
) -> nn.Module:
    """The network of a published recipe."""
    return create_model(recipe, num_classes=num_classes, pretrained=pretrained, weights=weights)
