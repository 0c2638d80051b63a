"""A restricted unpickler: it returns tensors, numpy arrays and plain containers, and runs no code.

Published training checkpoints contain objects beside their tensors (logged histories,
configurations, optimizers). The names in such a pickle are looked up in a closed table: functions
that build tensors and containers are replaced by those below, classes of other packages by inert
stand-ins that are never imported, and everything else is refused by name.

`torch.load` accepts this module in place of `pickle`: hence the names `Unpickler` and `load`.
"""

import io
import pickle
import re
import sys
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from typing import IO, Any

import numpy as np
import torch


class UnsafePickle(ValueError):
    """A pickle that names a Python object which is not data."""


class StandIn(dict):
    """Replaces an object of a class that is not imported: keeps dict items, drops the rest."""

    __hash__ = object.__hash__  # type: ignore[assignment]
    __eq__ = object.__eq__
    __ne__ = object.__ne__

    def __new__(cls, *args: object, **kwargs: object) -> "StandIn":
        return super().__new__(cls)

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(args[0] if args and isinstance(args[0], dict) else ())

    def __setstate__(self, state: object) -> None:
        pass

    def append(self, item: object) -> None:
        pass

    extend = add = append


class _Admitted:
    """A callable that a pickle may call but not modify; pickles can set attributes."""

    __slots__ = ("_function",)
    _function: Callable[..., object]

    def __init__(self, function: Callable[..., object]) -> None:
        object.__setattr__(self, "_function", function)

    def __call__(self, *args: object) -> object:
        return self._function(*args)

    def __setattr__(self, name: str, value: object) -> None:
        raise UnsafePickle(f"a pickle that modifies {self._function!r}")


class _Dtype:
    """A numpy dtype by its code, e.g. 'f8'; the state that follows may only set the byte order."""

    def __init__(self, code: str | bytes, *_: object) -> None:
        self.code = code.decode("ascii") if isinstance(code, bytes) else str(code)
        self.order = ""

    def __setstate__(self, state: tuple) -> None:
        order = state[1].decode("ascii") if isinstance(state[1], bytes) else state[1]
        self.order = order if order in ("<", ">") else ""

    def numpy(self) -> np.dtype | None:
        """The dtype of plain numbers and text; None for one of Python objects or records."""
        code = self.code.lstrip("<>=|")
        return np.dtype(self.order + code) if re.fullmatch(r"[biufcSU?]\d*", code) else None


class _Array(np.ndarray):
    """An array as numpy pickles it: created empty, then filled by the state, except of objects."""

    def __setstate__(self, state: tuple) -> None:  # type: ignore[override]
        _, shape, dtype, fortran, data = state
        if dtype.numpy() is None:
            return
        data = data.encode("latin1") if isinstance(data, str) else data  # written by Python 2
        vetted: Any = (1, tuple(shape), dtype.numpy(), bool(fortran), data)
        super().__setstate__(vetted)


def _array_scalar(dtype: _Dtype, data: str | bytes = b"") -> np.generic | None:
    if dtype.numpy() is None:
        return None
    data = data.encode("latin1") if isinstance(data, str) else data
    return np.frombuffer(data, dtype.numpy(), count=1)[0]


def _array_from_buffer(data: bytes, dtype: _Dtype, shape: tuple, order: str) -> np.ndarray | None:
    if dtype.numpy() is None:
        return None
    return np.frombuffer(data, dtype.numpy()).reshape(shape, order="F" if order == "F" else "C")


def _tensor(storage: Any, offset: int, size: tuple, stride: tuple, *_: object) -> torch.Tensor:
    # The other arguments (requires_grad, hooks, metadata) do not concern weights.
    return torch._utils._rebuild_tensor(storage, offset, size, stride)


def _storage(data: bytes) -> Any:
    # The storage of a tensor pickled without torch.save is a whole torch file.
    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def _reconstructor(kind: object, _base: object, _state: object) -> StandIn:
    if not (isinstance(kind, type) and issubclass(kind, StandIn)):
        raise UnsafePickle("copyreg._reconstructor")
    return kind()


def _getattr(owner: object, name: str) -> type[StandIn]:
    # Methods of classes are pickled this way, e.g. the statistics of a logged history.
    if not (isinstance(owner, type) and issubclass(owner, StandIn)):
        raise UnsafePickle("builtins.getattr")
    return _stand_in(f"{owner.__module__}.{owner.__qualname__}.{name}")


def _stand_in(path: str) -> type[StandIn]:
    module, _, name = path.rpartition(".")
    return type(name, (StandIn,), {"__module__": module})


_ADMITTED: dict[str, object] = {
    "collections.OrderedDict": _Admitted(OrderedDict),
    "collections.defaultdict": _Admitted(lambda *_: {}),  # its factory is not called
    "collections.deque": _Admitted(deque),
    "collections.Counter": _Admitted(Counter),
    "builtins.dict": _Admitted(dict),
    "builtins.list": _Admitted(list),
    "builtins.tuple": _Admitted(tuple),
    "builtins.set": _Admitted(set),
    "builtins.frozenset": _Admitted(frozenset),
    "builtins.bytearray": _Admitted(bytearray),
    "builtins.complex": _Admitted(complex),
    "builtins.slice": _Admitted(slice),
    "builtins.getattr": _Admitted(_getattr),
    "copyreg._reconstructor": _Admitted(_reconstructor),
    "_codecs.encode": _Admitted(lambda text, *_: text.encode("latin1")),  # bytes in protocol 2
    "numpy.dtype": _Admitted(_Dtype),
    "numpy._core.multiarray._reconstruct": _Admitted(lambda *_: _Array(0)),
    "numpy._core.multiarray.scalar": _Admitted(_array_scalar),
    "numpy._core.numeric._frombuffer": _Admitted(_array_from_buffer),
    "torch.Size": _Admitted(torch.Size),
    "torch.device": _Admitted(torch.device),
    "torch.storage._load_from_bytes": _Admitted(_storage),
    "torch._utils._rebuild_tensor": _Admitted(_tensor),
    "torch._utils._rebuild_tensor_v2": _Admitted(_tensor),
    "torch._utils._rebuild_parameter": _Admitted(lambda data, *_: data),
    "torch._utils._rebuild_parameter_with_state": _Admitted(lambda data, *_: data),
    "torch._tensor._rebuild_from_type_v2": _Admitted(lambda build, _kind, args, _: build(*args)),
    **{
        f"torch.{name}": value
        for name, value in vars(torch).items()
        if isinstance(value, torch.dtype)
    },
}

# Data types of the standard library and names of types: replaced by stand-ins, not refused.
_INERT = re.compile(
    r"builtins\.(object|int|float|str|bytes|bool|type)"
    r"|argparse\.Namespace|types\.SimpleNamespace|typing\.\w+|uuid\.UUID|datetime\.\w+"
    r"|pathlib\.\w*Path|decimal\.Decimal|fractions\.Fraction|enum\.\w*Enum"
    r"|numpy\.(ndarray|bool_?|u?int\d+|float\d+|complex\d+|str_|bytes_)"
    r"|numpy\.random\._pickle\.__\w+_ctor"
)

# Names of Python 2 (pickles up to protocol 2 use them), of numpy before 2.0, of torch before 1.9.
_MOVED = IMPORT_MAPPING | {
    "numpy.core.multiarray": "numpy._core.multiarray",
    "numpy.core.numeric": "numpy._core.numeric",
    "torch.tensor": "torch._tensor",
}


class Unpickler(pickle.Unpickler):
    """Admits only the names listed above; see the module."""

    def find_class(self, module: str, name: str) -> object:
        module, name = NAME_MAPPING.get((module, name), (_MOVED.get(module, module), name))
        path = f"{module}.{name}"
        if path in _ADMITTED:
            return _ADMITTED[path]
        # Names of classes are capitalised; a function, or anything else of the standard library,
        # would only be named to be called.
        is_class = name.rpartition(".")[2].lstrip("_")[:1].isupper()
        foreign = path.split(".")[0] not in sys.stdlib_module_names
        if _INERT.fullmatch(path) or (is_class and foreign):
            return _stand_in(path)
        raise UnsafePickle(path.encode("unicode_escape").decode())


def load(file: IO[bytes], **options: Any) -> Any:
    """One pickled object from an open file. Raises UnsafePickle with the name that is refused."""
    return Unpickler(file, **options).load()


def loads(data: bytes, **options: Any) -> Any:
    """One pickled object from bytes.

    >>> loads(pickle.dumps({"lr": [0.1, 0.01]}))
    {'lr': [0.1, 0.01]}
    >>> loads(pickle.dumps(re.compile))
    Traceback (most recent call last):
    vidrec.files.safe_pickle.UnsafePickle: re.compile
    """
    return load(io.BytesIO(data), **options)
