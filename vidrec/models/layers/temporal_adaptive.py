"""Temporal adaptive module: predicted kernels over time (Liu et al., ICCV 2021)."""

import torch.nn.functional as F
from torch import Tensor, nn


class TAM(nn.Module):
    """Weights frames by their temporal context, then convolves over time with predicted kernels.

    G, the global branch, predicts a kernel per channel from all frames (equation 4); L, the local
    branch, predicts a weight per channel and frame (equation 2).

    num_segments: frames of a clip.
    alpha: hidden units of G over num_segments. beta: channels over those inside L.
    kernel_size: of the kernels that G predicts.
    init_std: standard deviation of the initial weights of G.
    """

    def __init__(
        self,
        channels: int,
        num_segments: int = 8,
        alpha: int = 2,
        beta: int = 4,
        kernel_size: int = 3,
        init_std: float = 0.001,
    ) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(f"TAM kernel_size={kernel_size} is even: it has no centre")
        self.num_segments = num_segments
        self.kernel_size = kernel_size
        self.G = nn.Sequential(
            nn.Linear(num_segments, num_segments * alpha, bias=False),
            nn.BatchNorm1d(num_segments * alpha),
            nn.ReLU(inplace=True),
            nn.Linear(num_segments * alpha, kernel_size, bias=False),
            nn.Softmax(dim=-1),
        )
        self.L = nn.Sequential(
            nn.Conv1d(channels, channels // beta, 3, padding=1, bias=False),
            nn.BatchNorm1d(channels // beta),
            nn.ReLU(inplace=True),
            nn.Conv1d(channels // beta, channels, 1, bias=False),
            nn.Sigmoid(),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv1d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=init_std)

    def forward(self, x: Tensor) -> Tensor:
        """(B * num_segments, channels, h, w) -> the same shape."""
        clips = x.unflatten(0, (-1, self.num_segments))
        pooled = clips.mean(dim=(3, 4)).transpose(1, 2)  # (B, C, T)
        # Softmax returns float32 under autocast, which would spread to the maps.
        kernel = self.G(pooled.flatten(0, 1)).to(x.dtype)
        kernel = kernel.unflatten(0, pooled.shape[:2])  # (B, C, taps)
        weighted = clips * self.L(pooled).transpose(1, 2)[..., None, None]
        # A sum over a few shifted copies; a grouped convolution would have B * C groups.
        margin = self.kernel_size // 2
        padded = F.pad(weighted, (0, 0, 0, 0, 0, 0, margin, margin))
        total = sum(
            padded[:, tap : tap + self.num_segments] * kernel[:, None, :, tap, None, None]
            for tap in range(self.kernel_size)
        )
        assert isinstance(total, Tensor)
        return total.flatten(0, 1)
