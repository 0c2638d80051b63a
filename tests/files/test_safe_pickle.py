"""Pickles that must be refused, and published ones that must open, without running anything."""

import collections
import io
import os
import pickle
import subprocess

import numpy as np
import pytest
import torch

from tests.paths import GOLDEN
from vidrec.files import safe_pickle

# Written by torch 2.15 with what MMEngine 0.10.7 keeps in a checkpoint during training: MessageHub
# with logged histories, ConfigDict, an optimizer, numpy arrays and a RandomState. Each weight of
# backbone.conv1 (2, 3, 3, 3) counts from 0.
FIGURES = GOLDEN / "weights"


class Call:
    """Pickles as a call of `function` with `args`."""

    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("function", "args", "name"),
    [
        (os.system, ("touch {}",), "system"),
        (eval, ("open('{}', 'w')",), "builtins.eval"),
        (exec, ("open('{}', 'w')",), "builtins.exec"),
        (open, ("{}", "w"), "open"),
        (getattr, (subprocess.Popen, "wait"), "subprocess.Popen"),
        (__import__, ("os",), "builtins.__import__"),
        (subprocess.Popen, (["touch", "{}"],), "subprocess.Popen"),
        (os.mkdir, ("{}",), "mkdir"),
        (np.save, ("{}", 0), "numpy.save"),
        (torch.load, ("{}",), "torch.serialization.load"),
        (torch.hub.load, ("a/b", "c"), "torch.hub.load"),
    ],
)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_calls_something_is_refused_by_name(tmp_path, function, args, name, protocol):
    trace = tmp_path / "trace"
    args = tuple(a.format(trace) if isinstance(a, str) else a for a in args)
    data = pickle.dumps({"state_dict": {}, "x": Call(function, *args)}, protocol=protocol)
    with pytest.raises(safe_pickle.UnsafePickle, match=name.replace(".", r"\.")):
        safe_pickle.loads(data)
    assert not trace.exists()


def test_getattr_reaches_nothing_but_stand_ins():
    data = b"c__builtin__\ngetattr\n(ccollections\nOrderedDict\nVfromkeys\ntR."
    with pytest.raises(safe_pickle.UnsafePickle, match=r"builtins\.getattr"):
        safe_pickle.loads(data)


@pytest.mark.parametrize(
    "name", [b"collections\nOrderedDict", b"torch._utils\n_rebuild_tensor_v2", b"torch\nfloat32"]
)
@pytest.mark.parametrize("attribute", [b"keys", b"_function", b"__call__"])
@pytest.mark.parametrize("state", [b"}V%s\nI1\ns", b"(N}V%s\nI1\nst"])
def test_what_a_pickle_may_name_it_may_not_alter(name, state, attribute):
    # GLOBAL, then BUILD with {attribute: 1} as attributes, or as slots.
    with pytest.raises(
        (safe_pickle.UnsafePickle, AttributeError, TypeError, pickle.UnpicklingError)
    ):
        safe_pickle.loads(b"c" + name + b"\n" + state % attribute + b"b.")
    assert collections.OrderedDict(a=1).keys() == {"a"}


def test_dotted_names_are_not_followed():
    data = b"\x80\x04\x8c\x0bcollections\x8c\x18OrderedDict.__init__.__\x93."
    with pytest.raises(safe_pickle.UnsafePickle, match=r"collections\.OrderedDict\.__init__"):
        safe_pickle.loads(data.replace(b"\x18", bytes([len("OrderedDict.__init__.__")])))


@pytest.mark.parametrize("code", ["O", "V8", "O8"])
def test_arrays_of_objects_are_not_built(code):
    array = safe_pickle._Array(0)
    array.__setstate__((1, (1,), safe_pickle._Dtype(code), False, b"\0" * 8))
    assert array.size == 0
    with pytest.raises(ValueError, match="size"):
        array.__setstate__((1, (2,), safe_pickle._Dtype("f8"), False, b"\0" * 8))


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_plain_data_comes_back_as_it_was(protocol):
    table = {
        "f": np.arange(6, dtype=">f4").reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "text": np.array(["a", "bc"]),
        "scalar": np.float64(0.1),
        "bool": np.array([True, False]),
        "set": {1, 2},
        "ordered": collections.OrderedDict(a=1),
        "default": collections.defaultdict(list, a=[1]),
        "deque": collections.deque([1, 2], maxlen=3),
        "bytes": b"\xff\x00",
        "size": torch.Size([1, 2]),
        "dtype": torch.float16,
        "tensor": torch.arange(3.0),
        "parameter": torch.nn.Parameter(torch.ones(2)),
    }
    back = safe_pickle.loads(pickle.dumps(table, protocol=protocol))
    assert back.keys() == table.keys()
    for name in ("f", "fortran", "text", "scalar", "bool"):
        np.testing.assert_array_equal(back[name], table[name])
        assert back[name].dtype.kind == table[name].dtype.kind
    for name in ("set", "ordered", "default", "deque", "bytes", "size", "dtype"):
        assert back[name] == table[name], name
    assert torch.equal(back["tensor"], table["tensor"])
    assert torch.equal(back["parameter"], table["parameter"])


@pytest.mark.parametrize("name", ["mmengine.pth", "mmengine_legacy.pth"])
def test_a_training_checkpoint_of_mmengine_opens_without_its_packages(name):
    with pytest.raises(pickle.UnpicklingError):  # what this module is for
        torch.load(FIGURES / name, weights_only=True)
    opened = torch.load(
        FIGURES / name, map_location="cpu", weights_only=False, pickle_module=safe_pickle
    )
    weight = opened["state_dict"]["backbone.conv1.weight"]
    assert torch.equal(weight, torch.arange(54.0).reshape(2, 3, 3, 3))
    assert opened["meta"]["dataset_meta"] == {"classes": ("a", "b")}
    np.testing.assert_array_equal(opened["message_hub"]["runtime_info"]["histogram"], range(4))
    assert isinstance(opened["message_hub"]["log_scalars"]["train/loss"], safe_pickle.StandIn)
    assert opened["config"]["model"]["type"] == "TSN"
    assert opened["optimizer"]["param_groups"][0]["momentum"] == 0.9


@pytest.mark.parametrize("zip_format", [True, False])
def test_torch_files_come_out_as_torch_reads_them(zip_format):
    base = torch.randn(4, 6)
    saved = {
        "view": base[1:3, ::2],
        "transposed": base.t(),
        "half": base.half(),
        "bfloat16": base.bfloat16(),
        "integer": torch.arange(3),
        "bool": torch.tensor([True, False]),
        "parameter": torch.nn.Parameter(base),
        "empty": torch.empty(0, 3),
        "scalar": torch.tensor(1.5),
    }
    file = io.BytesIO()
    torch.save(saved, file, _use_new_zipfile_serialization=zip_format)
    file.seek(0)
    back = torch.load(file, map_location="cpu", weights_only=False, pickle_module=safe_pickle)
    for name, tensor in saved.items():
        assert back[name].dtype == tensor.dtype
        assert torch.equal(back[name], tensor), name
