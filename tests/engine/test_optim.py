import pytest
import torch
from torch import nn

from vidrec.config.schema import ParamRule
from vidrec.engine.optim import kinds, linear_scale, parameter_groups


class TwoConvs(nn.Module):
    """The parameters that published TSM networks have, in miniature."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2), nn.Conv2d(2, 2, 1))
        self.cls_head = nn.Module()
        self.cls_head.fc_cls = nn.Linear(2, 2)


def per_parameter(net, groups):
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    return {
        names[id(parameter)]: (group["lr"], group["weight_decay"])
        for group in groups
        for parameter in group["params"]
    }


def rules(**named):
    return {name: ParamRule(**rule) for name, rule in named.items()}


TSM = rules(
    head_weight={"name": r"fc_cls\.weight", "lr": 5},
    head_bias={"name": r"fc_cls\.bias", "lr": 10, "weight_decay": 0},
    bias={"kind": "conv_bias", "lr": 2, "weight_decay": 0},
    norm={"kind": "norm", "weight_decay": 0},
)


def test_tsm_recipe():
    """Rates and decays as MMAction2 1.2.0 sets them for tsm_..._8xb16-1x1x8-50e_kinetics400-rgb."""
    net = TwoConvs()
    got = per_parameter(net, parameter_groups(net, 0.02, 1e-4, TSM))
    assert got == {
        "backbone.0.weight": (0.02, 1e-4),
        "backbone.0.bias": (0.04, 0.0),
        "backbone.1.weight": (0.02, 0.0),
        "backbone.1.bias": (0.02, 0.0),
        "backbone.2.weight": (0.02, 1e-4),
        "backbone.2.bias": (0.04, 0.0),
        "cls_head.fc_cls.weight": (0.1, 1e-4),
        "cls_head.fc_cls.bias": (0.2, 0.0),
    }


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, 4))
        self.patch_embed = nn.Conv3d(3, 4, 2)
        self.norm1 = nn.LayerNorm(4)
        self.attn = nn.MultiheadAttention(4, 2)
        self.fc = nn.Linear(4, 4)


def test_no_decay_for_norms_and_biases():
    """norm_decay_mult=0, bias_decay_mult=0, as the MViT recipe of MMAction2 1.2.0 has them."""
    net = Transformer()
    groups = parameter_groups(
        net,
        1.6e-3,
        0.05,
        rules(
            norm={"kind": "norm", "weight_decay": 0},
            bias={"kind": "bias", "weight_decay": 0},
        ),
    )
    decays = {name: decay for name, (_, decay) in per_parameter(net, groups).items()}
    decayed = {"cls_token", "patch_embed.weight", "attn.in_proj_weight", "attn.out_proj.weight"}
    assert {name for name, decay in decays.items() if decay} == {*decayed, "fc.weight"}
    assert set(decays) == {name for name, _ in net.named_parameters()}
    assert len(groups) == 2


def test_without_rules_everything_is_one_group_in_order():
    net = TwoConvs()
    (group,) = parameter_groups(net, 0.1, 0.0, {})
    assert [id(p) for p in group["params"]] == [id(p) for p in net.parameters()]


def test_the_first_matching_rule_counts():
    net = TwoConvs()
    head = {"name": "fc_cls", "lr": 5}
    everything = {"name": ".", "lr": 0.5}
    first = per_parameter(net, parameter_groups(net, 1, 0, rules(head=head, rest=everything)))
    assert {lr for name, (lr, _) in first.items() if "fc_cls" in name} == {5}
    assert {lr for name, (lr, _) in first.items() if "fc_cls" not in name} == {0.5}


def test_name_and_kind_must_both_match():
    net = TwoConvs()
    rule = rules(one={"name": r"^backbone\.2", "kind": "bias", "lr": 3})
    got = per_parameter(net, parameter_groups(net, 1, 0, rule))
    assert {name for name, (lr, _) in got.items() if lr == 3} == {"backbone.2.bias"}


def test_frozen_parameters_are_left_out():
    net = TwoConvs()
    net.backbone.requires_grad_(False)
    got = per_parameter(net, parameter_groups(net, 0.02, 1e-4, TSM))
    assert set(got) == {"cls_head.fc_cls.weight", "cls_head.fc_cls.bias"}
    net.requires_grad_(False)
    with pytest.raises(ValueError, match="every parameter of the net is frozen"):
        parameter_groups(net, 0.02, 1e-4, {})


def test_shared_parameters_come_once():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    torch.optim.SGD(parameter_groups(net, 0.1, 0, {}))
    assert sum(len(g["params"]) for g in parameter_groups(net, 0.1, 0, {})) == 3


def test_rules_that_cannot_be_meant_are_refused():
    with pytest.raises(ValueError, match=r"param_groups\.head matches no parameter"):
        parameter_groups(TwoConvs(), 1, 0, rules(head={"name": "fc_new"}))
    with pytest.raises(ValueError, match=r"param_groups\.bn\.kind='batchnorm' is not one of norm"):
        parameter_groups(TwoConvs(), 1, 0, rules(bn={"kind": "batchnorm"}))


@pytest.mark.parametrize(
    ("module", "kind"),
    [
        (nn.BatchNorm3d(2), "norm"),
        (nn.SyncBatchNorm(2), "norm"),
        (nn.InstanceNorm1d(2, affine=True), "norm"),
        (nn.GroupNorm(1, 2), "norm"),
        (nn.LayerNorm(2), "norm"),
        (nn.ConvTranspose2d(1, 1, 1), "conv_weight"),
        (nn.Conv1d(1, 1, 1), "conv_weight"),
        (nn.Linear(1, 1), "linear_weight"),
        (nn.Embedding(1, 1), "other"),
    ],
)
def test_kinds_of_weights(module, kind):
    assert kind in kinds(module, "weight")


def test_linear_scaling():
    assert linear_scale(64, 256) == 0.25
    with pytest.raises(ValueError, match=r"base_batch_size"):
        linear_scale(64, None)
