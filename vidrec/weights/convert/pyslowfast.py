"""PySlowFast (`.pyth`), its caffe2 predecessors (`.pkl`) and pytorchvideo's hub."""

import re
from functools import partial

import torch

from vidrec.weights.convert.names import Shapes, State, named, renamed, substituted

_BOXES = "roi_head.bbox_head.fc_cls."
_LETTERS = {"a": "conv1", "b": "conv2", "c": "conv3"}  # the convolutions of a bottleneck


def pyslowfast(state: State, wanted: Shapes) -> State:
    """ResNets (SlowFast, Slow, I3D, C2D, X3D) and MViT of PySlowFast.

    Its stages s2 to s5 are our layers 1 to 4, pathway 0 is the slow one.
    """
    paths = _paths(named(state, r"\bpathway1_"))
    x3d = named(state, r"_stem\.conv_xy\.")
    kind = ".0.conv." if named(wanted, r"\bnon_local_block\.g\.0\.") else ".conv."

    def rename(name: str) -> str:
        if m := re.match(r"s1\.pathway(\d)_stem\.(conv_xy|conv|bn)\.(.*)", name):
            return paths[m[1]] + _stem(m[2], "conv_xy", x3d) + m[3]
        if m := re.match(r"s(\d)\.pathway(\d)_res(\d+)\.(.*)", name):
            return f"{paths[m[2]]}layer{int(m[1]) - 1}.{m[3]}." + _branch(m[4])
        if m := re.match(r"s(\d)_fuse\.(conv_f2s|bn)\.(.*)", name):
            part = "conv" if m[2] == "conv_f2s" else "bn"
            return f"{_lateral(int(m[1]) - 1)}.{part}.{m[3]}"
        if m := re.match(r"s(\d)\.pathway(\d)_nonlocal(\d+)\.(\w+)\.(.*)", name):
            block = f"{paths[m[2]]}layer{int(m[1]) - 1}.{m[3]}.non_local_block."
            return block + _non_local(m[4], kind) + m[5]
        return name

    state = substituted(
        renamed(state, rename),
        (r"^head\.conv_5\.", "conv5.conv."),
        (r"^head\.conv_5_bn\.", "conv5.bn."),
        (r"^head\.lin_5\.", "cls_head.fc1."),
        (r"^head\.projection\.", _classifier(wanted, x3d)),
        (r"^patch_embed\.proj\.", "patch_embed.projection."),  # MViT
        (r"^norm\.", "norm3."),
    )
    return _with_background(_fast_first(state), wanted)


def _classifier(wanted: Shapes, x3d: bool) -> str:
    """The last layer: that of a detector if the network is one."""
    if named(wanted, r"^roi_head\."):
        return _BOXES
    return "cls_head.fc2." if x3d else "cls_head.fc_cls."


def _fast_first(state: State) -> State:
    """The classifier of a SlowFast network: theirs has the slow pathway's channels first.

    In a detector ours has so too.
    """
    head, last = "cls_head.fc_cls.weight", r"^fast_path\.layer4\.\d+\.conv3\.conv\.weight$"
    fast = next((len(tensor) for name, tensor in state.items() if re.match(last, name)), 0)
    if head not in state or not fast:
        return state
    return {**state, head: state[head].roll(fast, dims=1)}


def _with_background(state: State, wanted: Shapes) -> State:
    """Adds an unused class 0 to the classifier of a detector whose file numbers actions from 0."""
    state = dict(state)
    for name in (f"{_BOXES}weight", f"{_BOXES}bias"):
        given, shape = state.get(name), wanted.get(name)
        if given is not None and shape == (len(given) + 1, *given.shape[1:]):
            state[name] = torch.cat([given.new_zeros(1, *given.shape[1:]), given])
    return state


def caffe2(state: State, wanted: Shapes) -> State:
    """The blobs of PySlowFast's caffe2 models, converted by way of PySlowFast's names.

    `res4_0_branch2a_w`, in the fast pathway `t_res4_0_branch2a_w`; BatchNorm has `_s`, `_b`, `_rm`
    and `_riv` (which is the variance, despite its name).
    """
    if not named(state, r"^(t_)?(conv1|res\d)_?.*_w$"):
        return {}
    endings = {"w": "weight", "b": "bias", "s": "weight", "rm": "running_mean"}
    endings["riv"] = "running_var"

    def rename(name: str) -> str:
        if not (m := re.fullmatch(r"(.*)_(w|b|s|rm|riv)", name)):
            return name
        layer, ending = m[1], endings[m[2]]
        return f"{_caffe2_layer(layer)}.{ending}"

    return pyslowfast(renamed(state, rename), wanted)


def _caffe2_layer(layer: str) -> str:
    path = "1" if layer.startswith("t_") else "0"
    layer = layer.removeprefix("t_")
    rules: tuple[tuple[str, str], ...] = (
        (r"pool1_subsample_bn", "s1_fuse.bn"),
        (r"pool1_subsample", "s1_fuse.conv_f2s"),
        (r"res(\d)_\d+_branch2c_bn_subsample_bn", r"s\1_fuse.bn"),
        (r"res(\d)_\d+_branch2c_bn_subsample", r"s\1_fuse.conv_f2s"),
        (r"(?:res_)?conv1_bn", f"s1.pathway{path}_stem.bn"),
        (r"conv1_xy", f"s1.pathway{path}_stem.conv_xy"),
        (r"conv1", f"s1.pathway{path}_stem.conv"),
        (r"res(\d)_(\d+)_branch1_bn", rf"s\1.pathway{path}_res\2.branch1_bn"),
        (r"res(\d)_(\d+)_branch1", rf"s\1.pathway{path}_res\2.branch1"),
        (r"res(\d)_(\d+)_branch2([abc])_bn", rf"s\1.pathway{path}_res\2.branch2.\3_bn"),
        (r"res(\d)_(\d+)_branch2([abc])", rf"s\1.pathway{path}_res\2.branch2.\3"),
        (r"res(\d)_(\d+)_branch2b_se_(fc\d)", rf"s\1.pathway{path}_res\2.branch2.se.\3"),
        (r"nonlocal_conv(\d)_(\d+)_bn", rf"s\1.pathway{path}_nonlocal\2.bn"),
        (r"nonlocal_conv(\d)_(\d+)_(\w+)", rf"s\1.pathway{path}_nonlocal\2.conv_\3"),
        (r"conv_5_bn", "head.conv_5_bn"),
        (r"conv_5", "head.conv_5"),
        (r"lin_5", "head.lin_5"),
        (r"pred", "head.projection"),
    )
    for pattern, replacement in rules:
        if m := re.fullmatch(pattern, layer):
            return m.expand(replacement)
    return layer


def pytorchvideo(state: State, wanted: Shapes) -> State:
    """Slow, SlowFast, I3D, C2D, X3D and CSN of pytorchvideo's hub, and its detection models.

    Pooling layers are numbered too: the blocks with residual blocks are, in order, our layers 1 to
    4. In X3D's stem `conv_t` is the spatial convolution, `conv_xy` the temporal one.
    """
    found = {m[1] for name in state if (m := re.match(r"blocks\.(\d+)\.(.*\.)?res_blocks\.", name))}
    layers = {block: index for index, block in enumerate(sorted(found, key=int), start=1)}
    if not layers:
        return {}
    paths = _paths(named(state, r"\bmultipathway_blocks\.1\."))
    x3d = named(state, r"^blocks\.0\.conv\.conv_xy\.")
    state = renamed(state, partial(_hub_name, layers=layers, paths=paths, x3d=x3d))
    return _with_background(_fast_first(state), wanted)


def _hub_name(name: str, layers: dict[str, int], paths: dict[str, str], x3d: bool) -> str:
    if m := re.match(r"blocks\.(\d+)\.(?:multipathway_blocks\.(\d)\.)?(.*)", name):
        block, path, rest = m[1], paths[m[2] or "0"], m[3]
        if r := re.match(r"res_blocks\.(\d+)\.(.*)", rest):
            return f"{path}layer{layers[block]}.{r[1]}." + _branch(_hub_branch(r[2]))
        if r := re.match(r"multipathway_fusion\.(conv_fast_to_slow|norm)\.(.*)", rest):
            part = "conv" if r[1] != "norm" else "bn"
            return f"{_lateral(layers.get(block, 0))}.{part}.{r[2]}"
        if block == "0" and (r := re.match(r"conv\.(conv_t|conv_xy)\.(.*)", rest)):
            return path + _stem("conv_xy" if r[1] == "conv_t" else "conv", "conv_xy", x3d) + r[2]
        if block == "0" and (r := re.match(r"(conv|norm)\.(.*)", rest)):
            return path + _stem("bn" if r[1] == "norm" else "conv", "conv_xy", x3d) + r[2]
        ends = {
            "proj.": "cls_head.fc2." if x3d else "cls_head.fc_cls.",
            "pool.pre_conv.": "conv5.conv.",
            "pool.pre_norm.": "conv5.bn.",
            "pool.post_conv.": "cls_head.fc1.",
        }
        for start, ours in ends.items():
            if rest.startswith(start):
                return ours + rest.removeprefix(start)
    return re.sub(r"^detection_head\.proj\.", _BOXES, name)


def _hub_branch(name: str) -> str:
    """Within a residual block: pytorchvideo's names to PySlowFast's."""
    for pattern, replacement in (
        (r"^branch1_conv\.", "branch1."),
        (r"^branch1_norm\.", "branch1_bn."),
        (r"^branch2\.conv_([abc])\.", r"branch2.\1."),
        (r"^branch2\.norm_b\.1\.block\.0\.", "branch2.se.fc1."),
        (r"^branch2\.norm_b\.1\.block\.2\.", "branch2.se.fc2."),
        (r"^branch2\.norm_([abc])\.(?:0\.)?", r"branch2.\1_bn."),
    ):
        changed, hits = re.subn(pattern, replacement, name)
        if hits:
            return changed
    return name


def _branch(name: str) -> str:
    """Within a residual block: PySlowFast's names to ours."""
    for pattern, replacement in (
        (r"^branch1\.", "downsample.conv."),
        (r"^branch1_bn\.", "downsample.bn."),
        (r"^branch2\.se\.", "se_module."),
    ):
        changed, hits = re.subn(pattern, replacement, name)
        if hits:
            return changed
    if m := re.match(r"branch2\.([abc])(_bn)?\.(.*)", name):
        return f"{_LETTERS[m[1]]}.{'bn' if m[2] else 'conv'}.{m[3]}"
    return name


def _paths(two: bool) -> dict[str, str]:
    return {"0": "slow_path.", "1": "fast_path."} if two else {"0": "", "1": ""}


def _stem(part: str, spatial: str, x3d: bool) -> str:
    if not x3d:
        return f"conv1.{part}."
    return "conv1_s.conv." if part == spatial else f"conv1_t.{part}."


def _lateral(layer: int) -> str:
    """The connection from the fast pathway after a layer; 0 is the stem."""
    return "slow_path." + (f"layer{layer}_lateral" if layer else "conv1_lateral")


def _non_local(part: str, kind: str) -> str:
    parts = {"conv_theta": "theta.conv.", "conv_out": "conv_out.conv.", "bn": "conv_out.bn."}
    parts |= {"conv_g": "g" + kind, "conv_phi": "phi" + kind}
    return parts.get(part, part + ".")
