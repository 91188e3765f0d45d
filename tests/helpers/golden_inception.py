"""Weights and pictures that the FID network and torch-fidelity's are given alike, and files of them
in PyTorch's two formats, written without it."""

import json
import pickle
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parents[1] / "golden"
SIZES = ((7, 5), (32, 32), (40, 24), (299, 299), (300, 450), (640, 481))
"""Of pictures to resize."""
Tensors = dict[str, np.ndarray]


def golden() -> dict:
    """What golden/make_inception.py found."""
    return json.loads((FOLDER / "inception.json").read_text())


def uniform(name: str, shape: Iterable[int], low: float, high: float) -> np.ndarray:
    """float32, decided by the name: raw bits are what numpy promises never to change."""
    shape = tuple(shape)
    bits = np.random.PCG64(zlib.crc32(name.encode())).random_raw(int(np.prod(shape)))
    share = (bits >> np.uint64(40)).astype(np.float64) / 2**24
    return (low + (high - low) * share).astype(np.float32).reshape(shape)


def images(n: int, height: int, width: int) -> np.ndarray:
    """uint8 [n, height, width, 3]."""
    return uniform("images", (n, height, width, 3), 0, 256).astype(np.uint8)


def state_dict(layers: dict[str, list[int]]) -> Tensors:
    """The tensors of the PyTorch network, whose convolutions' kernels OIHW have these shapes."""
    tensors: Tensors = {}

    def add(name: str, shape: Iterable[int], low: float, high: float) -> None:
        tensors[name] = uniform(name, shape, low, high)

    for layer, shape in layers.items():
        bound = (6 / np.prod(shape[1:])) ** 0.5  # He's, so that activations neither grow nor fade
        add(f"{layer}.conv.weight", shape, -bound, bound)
        add(f"{layer}.bn.weight", shape[:1], 0.5, 1.5)
        add(f"{layer}.bn.bias", shape[:1], -0.2, 0.2)
        add(f"{layer}.bn.running_mean", shape[:1], -0.2, 0.2)
        add(f"{layer}.bn.running_var", shape[:1], 0.5, 1.5)
    add("fc.weight", (1008, 2048), -0.05, 0.05)
    add("fc.bias", (1008,), -1, 1)
    return tensors


def _pickled(tensors: Tensors, *, legacy: bool) -> bytes:
    """A dictionary of them, as torch.save writes it in pickle's protocol 2."""

    def plain(value: object) -> bytes:
        return pickle.dumps(value, 2)[2:-1]  # without its start and its stop

    parts = [b"\x80\x02}("]
    for key, (name, value) in enumerate(tensors.items()):
        strides = tuple(stride // value.itemsize for stride in value.strides)
        parts += [
            plain(name) + b"ctorch._utils\n_rebuild_tensor_v2\n((",
            plain("storage") + b"ctorch\nFloatStorage\n",
            plain(str(key)) + plain("cpu") + plain(value.size),
            (b"N" if legacy else b"") + b"tQ",  # a tuple, by which the storage is asked for
            plain(0) + plain(value.shape) + plain(strides),
            plain(False) + b"ccollections\nOrderedDict\n)RtR",
        ]
    return b"".join([*parts, b"u."])


def write_zip(path: Path, tensors: Tensors) -> None:
    """As PyTorch has it since 1.6."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", _pickled(tensors, legacy=False))
        for key, value in enumerate(tensors.values()):
            archive.writestr(f"archive/data/{key}", value.tobytes())


def write_legacy(path: Path, tensors: Tensors) -> None:
    """As PyTorch had it before."""
    with path.open("wb") as file:
        for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
            pickle.dump(value, file, 2)
        file.write(_pickled(tensors, legacy=True))
        pickle.dump([str(key) for key in range(len(tensors))], file, 2)
        for value in tensors.values():
            file.write(value.size.to_bytes(8, "little") + value.tobytes())
