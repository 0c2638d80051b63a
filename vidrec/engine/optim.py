"""Parameter groups: which parameters have a higher learning rate or less weight decay."""

import re
from collections.abc import Iterator, Mapping
from typing import TypedDict

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from vidrec.config.schema import ParamRule

_NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.LocalResponseNorm)
KINDS = ("norm", "bias", "conv_weight", "conv_bias", "linear_weight", "linear_bias", "other")


def kinds(module: nn.Module, name: str) -> tuple[str, ...]:
    """The kinds of the parameter `name` of `module`, as in `ParamRule.kind`.

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


class ParameterGroup(TypedDict):
    """What torch.optim takes in place of a list of parameters."""

    params: list[nn.Parameter]
    lr: float
    weight_decay: float


def parameter_groups(
    net: nn.Module,
    lr: float,
    weight_decay: float,
    rules: Mapping[str, ParamRule],
    layer_decay: float | None = None,
) -> list[ParameterGroup]:
    """One group per pair of multipliers, for an optimizer; frozen parameters are left out.

    For each parameter the first rule counts whose name (a regular expression, searched for) and
    kind both match. Raises ValueError for a rule that no parameter matches.

    layer_decay: the learning rate of each layer of the backbone (see `layers`) over that of the
        next one (Clark et al., ICLR 2020, section 3.2; BEiT), on top of its rule.
    """
    _check_kinds(rules)
    layer_of = layers(net) if layer_decay is not None else {}
    last = max(layer_of.values(), default=0)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    unused = set(rules)
    for name, its_kinds, parameter in _named_kinds(net):
        label = _first_rule(name, its_kinds, rules)
        unused.discard(label or "")
        if not parameter.requires_grad:
            continue
        rule = rules[label] if label else ParamRule()
        layer_factor = 1.0 if layer_decay is None else layer_decay ** (last - layer_of[name])
        key = rule.lr * layer_factor, rule.weight_decay
        groups.setdefault(key, []).append(parameter)
    if unused:
        raise ValueError(f"schedule.param_groups.{min(unused)} matches no parameter of the net")
    if not groups:
        raise ValueError("every parameter of the net is frozen: there is nothing to train")
    return [
        {"params": parameters, "lr": lr * lr_factor, "weight_decay": weight_decay * decay_factor}
        for (lr_factor, decay_factor), parameters in groups.items()
    ]


def _check_kinds(rules: Mapping[str, ParamRule]) -> None:
    for title, rule in rules.items():
        if rule.kind is not None and rule.kind not in KINDS:
            raise ValueError(
                f"schedule.param_groups.{title}.kind='{rule.kind}' is not one of {', '.join(KINDS)}"
            )


def _named_kinds(net: nn.Module) -> Iterator[tuple[str, tuple[str, ...], nn.Parameter]]:
    """Every parameter once, even if modules share it: its name, what it is, and itself."""
    seen: set[int] = set()
    for path, module in net.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield (f"{path}.{name}" if path else name), kinds(module, name), parameter


def _first_rule(
    name: str, its_kinds: tuple[str, ...], rules: Mapping[str, ParamRule]
) -> str | None:
    for label, rule in rules.items():
        by_name = rule.name is None or re.search(rule.name, name)
        if by_name and (rule.kind is None or rule.kind in its_kinds):
            return label
    return None


def layers(net: nn.Module) -> dict[str, int]:
    """The layer of each parameter, by name: how many blocks of the backbone come up to it.

    `block_names` of the backbone is a regular expression for the names of its blocks; each of them
    is a layer. They count from 1 in the order in which the backbone defines them. What comes before
    the first (embeddings) is layer 0; what comes between two (downsampling) belongs to the first of
    them. What follows the last block (the final norm) and the rest of the net (the head) form one
    more layer. Raises ValueError for a backbone without `block_names`.
    """
    block_names = getattr(getattr(net, "backbone", None), "block_names", None)
    names = [name for name, _ in net.named_parameters(remove_duplicate=False)]
    blocks: dict[str, int] = {}
    block_of: dict[str, int | None] = {}
    for name in names:
        found = block_names and re.match(rf"backbone\.(?:{block_names})(?=\.)", name)
        block_of[name] = blocks.setdefault(found[0], len(blocks) + 1) if found else None
    if not blocks:
        raise ValueError(
            "schedule.layer_decay needs a backbone with numbered blocks, such as a transformer; "
            "this one has none: set it to null"
        )
    last = len(blocks) + 1
    numbers, seen = {}, 0
    for name in names:
        if not name.startswith("backbone."):
            numbers[name] = last
            continue
        seen = block_of[name] or seen
        after_all = block_of[name] is None and seen == len(blocks)
        numbers[name] = last if after_all else seen
    return numbers


def linear_scale(effective_batch: int, base_batch: int | None) -> float:
    """Factor of the learning rate by the linear scaling rule (Goyal et al., 2017, section 2.1).

    >>> linear_scale(512, 256)
    2.0
    """
    if base_batch is None:
        raise ValueError(
            "schedule.scale_lr=true needs schedule.base_batch_size, the batch size for which the "
            "learning rate was chosen"
        )
    return effective_batch / base_batch
