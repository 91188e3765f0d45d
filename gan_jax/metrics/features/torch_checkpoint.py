"""The tensors of a PyTorch file as numpy arrays: without PyTorch, and without running its code.

Such a file is a pickle whose tensors name their storages, flat arrays that lie beside it. Since
PyTorch 1.6 both are members of a zip archive; before, the storages follow the pickle in one file.
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
LEGACY = (0x1950A86A20F9469CFC6C, 1001)  # the magic number and the protocol that it starts with
DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
}


def read_state_dict(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a saved `state_dict`, by name.

    Raises UserError if the file is not there, is damaged or holds anything else than tensors.
    """
    try:
        with path.open("rb") as file:
            zipped = file.read(len(ZIP)) == ZIP
            file.seek(0)
            found = _from_archive(file) if zipped else _from_stream(file)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to say
        raise UserError(
            f"{path} is no PyTorch checkpoint: {type(error).__name__}: {error}"
        ) from None
    if not isinstance(found, dict) or not all(isinstance(x, np.ndarray) for x in found.values()):
        raise UserError(f"{path} is no PyTorch checkpoint of tensors by name, a state_dict")
    return dict(found)


def _tensor(
    storage: np.ndarray, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any
) -> np.ndarray:
    """A view of its storage; `_` is what matters to training only."""
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    if min((offset, *shape, *strides)) < 0 or last >= len(storage):
        raise ValueError(f"a tensor of shape {shape} is not in its storage of {len(storage)}")
    size = storage.itemsize
    return as_strided(storage[offset:], shape, [size * stride for stride in strides])


class _Unpickler(pickle.Unpickler):
    """Knows dictionaries and tensors, and calls nothing else."""

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
    """Of PyTorch 1.6 and later."""
    with zipfile.ZipFile(file) as archive:
        (member,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        folder = member.removesuffix("data.pkl")

        def storage(dtype: str, key: str, count: int) -> np.ndarray:
            there = archive.getinfo(f"{folder}data/{key}")
            if there.compress_type != zipfile.ZIP_STORED:  # PyTorch does not, a bomb would
                raise ValueError(f"storage {key} is compressed")
            return np.frombuffer(archive.read(there), dtype, count)

        with archive.open(member) as pickled:
            return _Unpickler(pickled, storage).load()


def _from_stream(file: BufferedReader) -> Any:
    """Of earlier PyTorch: the tensors are views of storages that are filled last."""
    storages: dict[str, np.ndarray] = {}
    whole = os.fstat(file.fileno()).st_size

    def storage(dtype: str, key: str, count: int) -> np.ndarray:
        if not 0 <= count * np.dtype(dtype).itemsize <= whole:
            raise ValueError(f"storage {key} of {count} numbers is larger than the file")
        return storages.setdefault(key, np.empty(count, dtype))

    def load() -> Any:
        return _Unpickler(file, storage).load()

    if (load(), load()) != LEGACY:
        raise ValueError("its magic number is another")
    load()  # sizes of C's types on the machine that wrote it
    found, keys = load(), load()
    if set(keys) != set(storages):
        raise ValueError("its tensors and its storages do not match")
    for key in keys:
        values, count = storages[key], int.from_bytes(file.read(8), "little")
        if count != len(values) or file.readinto(values.data) != values.nbytes:
            raise EOFError(f"storage {key} is cut short")
    return found
