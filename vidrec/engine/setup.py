"""Process-wide switches of torch, seeds, and where and how a network lies in memory."""

import torch
from torch import nn

from vidrec.config.schema import RuntimeConf
from vidrec.engine.distributed import Distributed


def set_torch_options(runtime: RuntimeConf) -> None:
    """Set all process-wide switches of torch, and the seed of the initial weights."""
    if runtime.threads is not None:
        torch.set_num_threads(runtime.threads)
    torch.backends.cudnn.benchmark = runtime.cudnn_benchmark
    torch.backends.cudnn.allow_tf32 = not runtime.deterministic
    torch.use_deterministic_algorithms(runtime.deterministic)
    torch.manual_seed(runtime.seed)


def seed_step(seed: int, step: int, dist: Distributed) -> None:
    """Make dropout and the like a function of (seed, step, rank)."""
    # Odd factors keep neighbouring seeds, steps and ranks apart; torch mixes the bits further.
    number = (seed * 0x9E3779B1 + step * 0x85EBCA77 + dist.rank * 0xC2B2AE3D) % 2**63
    # `torch.manual_seed` visits every kind of device, which takes longer than a step of a small
    # network.
    torch.default_generator.manual_seed(number)
    if dist.device.type == "cuda":
        torch.cuda.manual_seed(number)


def net_to_device(net: nn.Module, device: torch.device, *, sync_bn: bool = False) -> nn.Module:
    """The network on `device`, with `channels_last` weights.

    sync_bn: compute BatchNorm statistics in training over all ranks. Raises ValueError if the
    device does not support it.
    """
    if sync_bn:
        if device.type == "cpu":
            raise ValueError(
                "schedule.sync_bn=true needs CUDA devices: torch does not support it on the CPU"
            )
        net = nn.SyncBatchNorm.convert_sync_batchnorm(net)
    return channels_last(net.to(device))


def channels_last(net: nn.Module) -> nn.Module:
    """`net` itself, with the convolution weights in the memory layout of the frames."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    for parameter in net.parameters():
        if parameter.ndim in formats:
            parameter.data = parameter.data.contiguous(memory_format=formats[parameter.ndim])
    return net
