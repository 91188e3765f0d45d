"""Reader of tensors in PyTorch files, without PyTorch and without running code from the file.

Such a file is a pickle of tensors, which refer to storages: flat arrays outside of the pickle.
Since PyTorch 1.6, both are members of a zip archive. In older files the storages follow the pickle.
"""

import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from gan_jax.core.errors import UserError

ZIP = b"PK\x03\x04"
LEGACY = (0x1950A86A20F9469CFC6C, 1001)  # magic number and protocol at the start
DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
}


def read_state_dict(path: Path) -> dict[str, np.ndarray]:
    """Read the tensors of a saved `state_dict` by name.

    Raises UserError if the file does not exist, is damaged, or holds anything but tensors.
    """
    try:
        with path.open("rb") as file:
            zipped = file.read(len(ZIP)) == ZIP
            file.seek(0)
            tensors = _from_archive(file) if zipped else _from_stream(file)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except Exception as error:  # a damaged pickle can raise any exception
        raise UserError(
            f"{path} is not a PyTorch checkpoint: {type(error).__name__}: {error}"
        ) from None
    if not isinstance(tensors, dict) or not all(
        isinstance(tensor, np.ndarray) for tensor in tensors.values()
    ):
        raise UserError(f"{path} is not a PyTorch checkpoint of tensors by name, a state_dict")
    return dict(tensors)


def _tensor(
    storage: np.ndarray, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any
) -> np.ndarray:
    """Return a view of a storage; the other arguments matter for training only."""
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    if min((offset, *shape, *strides)) < 0 or last >= len(storage):
        raise ValueError(f"a tensor of shape {shape} is not in its storage of {len(storage)}")
    size = storage.itemsize
    return as_strided(storage[offset:], shape, [size * stride for stride in strides])


class _Unpickler(pickle.Unpickler):
    """Unpickler restricted to dictionaries and tensors."""

    def __init__(self, file: IO[bytes], storage: Callable[[str, str, int], np.ndarray]):
        super().__init__(file)
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed")

    def persistent_load(self, pid: Any) -> np.ndarray:
        kind, dtype, key, _, count, *view = pid
        if kind != "storage" or view not in ([], [None]):
            raise pickle.UnpicklingError(f"{pid} is not allowed")
        return self._storage(dtype, key, count)


def _from_archive(file: IO[bytes]) -> Any:
    """Read a file of PyTorch 1.6 or later."""
    with zipfile.ZipFile(file) as archive:
        (member,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        folder = member.removesuffix("data.pkl")

        def storage(dtype: str, key: str, count: int) -> np.ndarray:
            info = archive.getinfo(f"{folder}data/{key}")
            if info.compress_type != zipfile.ZIP_STORED:  # PyTorch never compresses; a bomb would
                raise ValueError(f"storage {key} is compressed")
            return np.frombuffer(archive.read(info), dtype, count)

        with archive.open(member) as pickled:
            return _Unpickler(pickled, storage).load()


def _from_stream(file: BufferedReader) -> Any:
    """Read a file before PyTorch 1.6: tensors are views of storages, which are filled last."""
    storages: dict[str, np.ndarray] = {}
    file_size = os.fstat(file.fileno()).st_size

    def storage(dtype: str, key: str, count: int) -> np.ndarray:
        if not 0 <= count * np.dtype(dtype).itemsize <= file_size:
            raise ValueError(f"storage {key} of {count} values is larger than the file")
        return storages.setdefault(key, np.empty(count, dtype))

    def load() -> Any:
        return _Unpickler(file, storage).load()

    if (load(), load()) != LEGACY:
        raise ValueError("unknown magic number or protocol")
    load()  # sizes of C types on the machine that wrote the file
    tensors, keys = load(), load()
    if set(keys) != set(storages):
        raise ValueError("tensors and storages do not match")
    for key in keys:
        values, count = storages[key], int.from_bytes(file.read(8), "little")
        if count != len(values) or file.readinto(values.data) != values.nbytes:
            raise EOFError(f"storage {key} is truncated")
    return tensors
