"""A restricted unpickler: it returns numpy arrays and plain containers, and runs no code.

Published training checkpoints contain objects beside their tensors (logged histories,
configurations, optimizers). The names in such a pickle are looked up in a closed table: functions
that build arrays and containers are replaced by those below, classes of other packages by inert
stand-ins that are never imported, and everything else is refused by name. Tensors are added by
`vidrec.files.checkpoint_files`.

A few hundred bytes can describe lists that share their parts: 2^40 elements to whoever walks,
prints or hashes them. Such a pickle is refused, and so is one that copies its parts over and over.
"""

import io
import os
import pickle
import re
import struct
import sys
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping
from typing import IO, Any

import numpy as np

from vidrec.files.limits import TooLarge

_MAX_TREE = 1_000_000  # elements that any content may have when its shared parts are written out
_MAX_SHARING = 10  # times the elements of other content
_MAX_TUPLE = 100_000  # elements of nested tuples, which may be hashed while the pickle is read
_MAX_DEPTH = 200
_CONTAINERS = (list, tuple, dict, set, frozenset, deque)
_COPIED = (*_CONTAINERS, str, bytes, bytearray)


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


class Admitted:
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
        code = code.decode("ascii") if isinstance(code, bytes) else code
        self.code = code if isinstance(code, str) else ""
        self.order = ""

    def __setstate__(self, state: tuple) -> None:
        order = state[1].decode("ascii") if isinstance(state[1], bytes) else state[1]
        self.order = order if order in ("<", ">") else ""

    def numpy(self) -> np.dtype | None:
        """The dtype of plain numbers and text; None for one of Python objects or records."""
        code = self.code.lstrip("<>=|")
        dtype = np.dtype(self.order + code) if re.fullmatch(r"[biufcSU?]\d*", code) else None
        return dtype if dtype is not None and dtype.itemsize else None


class _Array(np.ndarray):
    """An array as numpy pickles it: created empty, then filled by the state, except of objects."""

    def __setstate__(self, state: tuple) -> None:  # type: ignore[override]
        _, shape, dtype, fortran, data = state
        known = dtype.numpy()
        if known is None:
            return
        data = data.encode("latin1") if isinstance(data, str) else data  # written by Python 2
        vetted: Any = (1, tuple(shape), known, bool(fortran), data)
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


def _bytearray(data: str | bytes, *_: object) -> bytearray:
    # Not of a number, which would be its length.
    return bytearray(data.encode("latin1") if isinstance(data, str) else memoryview(data))


def _reconstructor(kind: object, _base: object, _state: object) -> StandIn:
    if not (isinstance(kind, type) and issubclass(kind, StandIn)):
        raise UnsafePickle("copyreg._reconstructor")
    return kind()


def _getattr(owner: object, name: str) -> type[StandIn]:
    # Methods of classes are pickled this way, e.g. the statistics of a logged history.
    if not (isinstance(owner, type) and issubclass(owner, StandIn) and isinstance(name, str)):
        raise UnsafePickle("builtins.getattr")
    return _stand_in(f"{owner.__module__}.{owner.__qualname__}.{name}")


def _stand_in(path: str) -> type[StandIn]:
    module, _, name = path.rpartition(".")
    return type(name, (StandIn,), {"__module__": module})


ADMITTED: dict[str, object] = {
    "collections.OrderedDict": Admitted(OrderedDict),
    "collections.defaultdict": Admitted(lambda *_: {}),  # its factory is not called
    "collections.deque": Admitted(deque),
    "collections.Counter": Admitted(Counter),
    "builtins.dict": Admitted(dict),
    "builtins.list": Admitted(list),
    "builtins.tuple": Admitted(tuple),
    "builtins.set": Admitted(set),
    "builtins.frozenset": Admitted(frozenset),
    "builtins.bytearray": Admitted(_bytearray),
    "builtins.complex": Admitted(complex),
    "builtins.getattr": Admitted(_getattr),
    "copyreg._reconstructor": Admitted(_reconstructor),
    "_codecs.encode": Admitted(lambda text, *_: text.encode("latin1")),  # bytes in protocol 2
    "numpy.dtype": Admitted(_Dtype),
    "numpy._core.multiarray._reconstruct": Admitted(lambda *_: _Array(0)),
    "numpy._core.multiarray.scalar": Admitted(_array_scalar),
    "numpy._core.numeric._frombuffer": Admitted(_array_from_buffer),
}

# Data types of the standard library and names of types: replaced by stand-ins, not refused.
_INERT = re.compile(
    r"builtins\.(object|int|float|str|bytes|bool|slice|type)"
    r"|argparse\.Namespace|types\.SimpleNamespace|typing\.\w+|uuid\.UUID|datetime\.\w+"
    r"|pathlib\.\w*Path|decimal\.Decimal|fractions\.Fraction|enum\.\w*Enum"
    r"|numpy\.(ndarray|bool_?|u?int\d+|float\d+|complex\d+|str_|bytes_)"
    r"|numpy\.random\._pickle\.__\w+_ctor"
)

# Names of Python 2 (pickles up to protocol 2 use them) and of numpy before 2.0.
_MOVED = IMPORT_MAPPING | {
    "numpy.core.multiarray": "numpy._core.multiarray",
    "numpy.core.numeric": "numpy._core.numeric",
}


class Unpickler(pickle._Unpickler):  # that of Python: it can be bounded, and its memo is a dict
    """Admits only the names of `admitted`, and bounds what it builds; see the module."""

    admitted: Mapping[str, object] = ADMITTED
    stack: list[Any]  # of pickle's unpickler

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file, encoding="latin1")  # of pickles that Python 2 wrote
        start = file.tell()
        # Every element takes a byte of the file, except where parts are used more than once.
        self._may_copy = max(_MAX_TREE, 2 * (file.seek(0, os.SEEK_END) - start))
        file.seek(start)
        # Size and depth of tuples with tuples in them, by id; the tuple is kept so that it stays.
        self._nested: dict[int, tuple[int, int, tuple]] = {}

    def find_class(self, module: str, name: str) -> object:
        module, name = NAME_MAPPING.get((module, name), (_MOVED.get(module, module), name))
        path = f"{module}.{name}"
        if path in self.admitted:
            return self.admitted[path]
        # Names of classes are capitalised; a function, or anything else of the standard library,
        # would only be named to be called.
        is_class = name.rpartition(".")[2].lstrip("_")[:1].isupper()
        foreign = path.split(".")[0] not in sys.stdlib_module_names
        if _INERT.fullmatch(path) or (is_class and foreign):
            return _stand_in(path)
        raise UnsafePickle(path.encode("unicode_escape").decode())

    def load(self) -> Any:
        found = super().load()
        check_tree(found)
        return found

    def _instantiate(self, kind: Any, args: tuple) -> None:
        self._count_copied(args)
        super()._instantiate(kind, args)  # type: ignore[misc]  # of Python's unpickler

    def _count_copied(self, args: object) -> None:
        """Bound what callables may copy: one long list, say, a hundred thousand times."""
        for value in args if isinstance(args, tuple) else (args,):
            if isinstance(value, _COPIED):
                self._may_copy -= len(value)
        if self._may_copy < 0:
            raise TooLarge("its pickle copies the same values again and again")

    def _check_tuple(self, made: tuple) -> None:
        """Bound a tuple, which takes the time of its tree if it is hashed."""
        size, depth = len(made), 1
        for value in made:
            if type(value) is tuple:
                inner_size, inner_depth, _ = self._nested.get(id(value), (len(value), 1, value))
                size, depth = size + inner_size, max(depth, 1 + inner_depth)
        if depth > 1:
            if size > _MAX_TUPLE or depth > _MAX_DEPTH:
                raise TooLarge("its pickle has tuples that share their parts, too large to hash")
            self._nested[id(made)] = size, depth, made


def _load_bytearray(unpickler: Any) -> None:
    # That of pickle takes the memory before it looks whether the file has as much.
    (size,) = struct.unpack("<Q", unpickler.read(8))
    unpickler.append(bytearray(unpickler.read(size)))


def _checked(code: bytes) -> Callable[[Any], None]:
    load = pickle._Unpickler.dispatch[code[0]]

    def tuples(unpickler: Any) -> None:
        load(unpickler)
        unpickler._check_tuple(unpickler.stack[-1])

    def calls(unpickler: Any) -> None:
        unpickler._count_copied(unpickler.stack[-1])
        load(unpickler)
        if type(made := unpickler.stack[-1]) is tuple:
            unpickler._check_tuple(made)

    return tuples if code in _TUPLES else calls


_TUPLES = (pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3)
Unpickler.dispatch = {
    **pickle._Unpickler.dispatch,
    **{code[0]: _checked(code) for code in (*_TUPLES, pickle.REDUCE, pickle.BUILD)},
    pickle.BYTEARRAY8[0]: _load_bytearray,
}


def check_tree(root: object) -> None:
    """Raise TooLarge if walking `root` as a tree would take far longer than visiting each object.

    >>> pair = [0, 0]
    >>> for _ in range(40):
    ...     pair = [pair, pair]
    >>> check_tree(pair)
    Traceback (most recent call last):
    vidrec.files.limits.TooLarge: its lists or dictionaries share their parts, 4398046511102
    elements when written out
    """
    num_elements = 0
    sizes: dict[int, tuple[int, int]] = {}  # elements and depth of the trees that are done
    inside = {id(root)}
    path = [(root, _containers_in(root))]
    while path:
        node, todo = path[-1]
        if todo:
            child = todo.pop()
            if id(child) in inside:
                raise TooLarge("one of its lists or dictionaries contains itself")
            if id(child) not in sizes:
                inside.add(id(child))
                path.append((child, _containers_in(child)))
            continue
        path.pop()
        inside.remove(id(node))
        below = [sizes[id(child)] for child in _containers_in(node)]
        length = len(node) if isinstance(node, _CONTAINERS) else 1
        depth = 1 + max((depth for _, depth in below), default=0)
        if depth > _MAX_DEPTH:
            raise TooLarge(f"its lists or dictionaries are nested more than {_MAX_DEPTH} deep")
        num_elements += length
        sizes[id(node)] = length + sum(size for size, _ in below), depth
    size, _ = sizes[id(root)]
    if size > max(_MAX_TREE, _MAX_SHARING * num_elements):
        raise TooLarge(
            f"its lists or dictionaries share their parts, {size} elements when written out"
        )


def _containers_in(node: object) -> list[object]:
    if isinstance(node, dict):
        return [value for pair in node.items() for value in pair if isinstance(value, _CONTAINERS)]
    if isinstance(node, _CONTAINERS):
        return [value for value in node if isinstance(value, _CONTAINERS)]
    return []


def load(file: IO[bytes]) -> Any:
    """One pickled object from an open file.

    Raises UnsafePickle with the name that is refused, TooLarge for what cannot be walked.
    """
    return Unpickler(file).load()


def loads(data: bytes) -> Any:
    """One pickled object from bytes.

    >>> loads(pickle.dumps({"lr": [0.1, 0.01]}))
    {'lr': [0.1, 0.01]}
    >>> loads(pickle.dumps(re.compile))
    Traceback (most recent call last):
    vidrec.files.safe_pickle.UnsafePickle: re.compile
    """
    return load(io.BytesIO(data))
