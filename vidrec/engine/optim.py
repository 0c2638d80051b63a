"""Parameter groups: which parameters learn faster or decay less."""

import re
from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from vidrec.config.schema import ParamRule

_NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.LocalResponseNorm)
KINDS = ("norm", "bias", "conv_weight", "conv_bias", "linear_weight", "linear_bias", "other")


def kinds(module: nn.Module, name: str) -> tuple[str, ...]:
    """What the parameter `name` of `module` is, as `ParamRule.kind` calls it.

    >>> kinds(nn.Linear(2, 2), "bias")
    ('linear_bias', 'bias')
    """
    if isinstance(module, _NORMS):
        return ("norm",)
    general = ("bias",) if name.endswith("bias") else ()
    if isinstance(module, _ConvNd):
        return (f"conv_{name}", *general)
    if isinstance(module, nn.Linear):
        return (f"linear_{name}", *general)
    return general or ("other",)


def parameter_groups(
    net: nn.Module,
    lr: float,
    weight_decay: float,
    rules: Mapping[str, ParamRule],
    layer_decay: float | None = None,
) -> list[dict[str, Any]]:
    """Groups for an optimizer, one for each pair of multipliers; frozen parameters are left out.

    For each parameter the first rule whose name (a regular expression, searched for) and kind both
    match counts. Raises ValueError for a rule that no parameter matches.

    layer_decay: every layer of the backbone (see `layers`) learns this many times as fast as the
        next one (Clark et al., ICLR 2020, section 3.2; BEiT), on top of its rule.
    """
    for title, rule in rules.items():
        if rule.kind is not None and rule.kind not in KINDS:
            raise ValueError(
                f"schedule.param_groups.{title}.kind='{rule.kind}' is not one of {', '.join(KINDS)}"
            )
    layer_of = layers(net) if layer_decay is not None else {}
    last = max(layer_of.values(), default=0)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    used: set[str] = set()
    seen: set[int] = set()
    for path, module in net.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) in seen:  # shared by two modules
                continue
            seen.add(id(parameter))
            full = f"{path}.{name}" if path else name
            label: str | None = _first_rule(full, kinds(module, name), rules)
            if label:
                used.add(label)
            if not parameter.requires_grad:
                continue
            rule = rules[label] if label else ParamRule()
            layer_factor = 1.0 if layer_decay is None else layer_decay ** (last - layer_of[full])
            key = rule.lr * layer_factor, rule.weight_decay
            groups.setdefault(key, []).append(parameter)
    if unused := set(rules) - used:
        raise ValueError(f"schedule.param_groups.{min(unused)} matches no parameter of the net")
    if not groups:
        raise ValueError("every parameter of the net is frozen: there is nothing to train")
    return [
        {"params": parameters, "lr": lr * lr_factor, "weight_decay": weight_decay * decay_factor}
        for (lr_factor, decay_factor), parameters in groups.items()
    ]


def _first_rule(
    name: str, its_kinds: tuple[str, ...], rules: Mapping[str, ParamRule]
) -> str | None:
    for label, rule in rules.items():
        by_name = rule.name is None or re.search(rule.name, name)
        if by_name and (rule.kind is None or rule.kind in its_kinds):
            return label
    return None


# "blocks.3" of most transformers, "layers.1.blocks.0" of networks with stages, "blocks2.3".
_BLOCK = re.compile(r"backbone\.(?:\w+\.)*?(?:(?:layers|stages)\.\d+\.)?\w*blocks\d*\.\d+(?=\.)")
_TIMESFORMER_BLOCK = re.compile(r"backbone\.transformer_layers\.layers\.\d+(?=\.)")


def layers(net: nn.Module) -> dict[str, int]:
    """The layer of each parameter, by name: how many of the backbone's blocks come up to it.

    Blocks count from 1 in the order in which the backbone defines them; what stands before the
    first (embeddings) is layer 0, what stands between two (a change of resolution) belongs to the
    one before. What follows the last block (the final norm) and the rest of the net (the head) are
    one layer more. Raises ValueError for a backbone without numbered blocks.
    """
    names = [name for name, _ in net.named_parameters(remove_duplicate=False)]
    blocks: dict[str, int] = {}
    block_of = {}
    for name in names:
        found = _BLOCK.match(name) or _TIMESFORMER_BLOCK.match(name)
        block_of[name] = blocks.setdefault(found[0], len(blocks) + 1) if found else None
    if not blocks:
        raise ValueError(
            "schedule.layer_decay needs a backbone of numbered blocks, such as a transformer's; "
            "this one has none: leave it null"
        )
    numbers, seen = {}, 0
    for name in names:
        if not name.startswith("backbone."):
            numbers[name] = len(blocks) + 1
            continue
        block = block_of[name]
        seen = block or seen
        after = block is None and seen == len(blocks)
        numbers[name] = len(blocks) + 1 if after else seen
    return numbers


def linear_scale(effective_batch: int, base_batch: int | None) -> float:
    """The factor of the linear scaling rule (Goyal et al., 2017, section 2.1).

    >>> linear_scale(512, 256)
    2.0
    """
    if base_batch is None:
        raise ValueError(
            "schedule.scale_lr=true needs schedule.base_batch_size, the batch that the learning "
            "rate is meant for"
        )
    return effective_batch / base_batch
