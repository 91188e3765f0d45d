"""Weights and images for comparing the FID network with torch-fidelity's.

The weights can be written in PyTorch's two checkpoint formats, without PyTorch.
"""

import json
import pickle
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parents[1] / "golden"
SIZES = ((7, 5), (32, 32), (40, 24), (299, 299), (300, 450), (640, 481))
"""Sizes (height, width) of images to resize."""
Tensors = dict[str, np.ndarray]


def golden() -> dict:
    """Load the reference values from golden/make_inception.py."""
    return json.loads((FOLDER / "inception.json").read_text())


def uniform(name: str, shape: Iterable[int], low: float, high: float) -> np.ndarray:
    """Return float32 values that depend only on the name.

    They come from raw bits, the only output of a generator that NumPy promises never to change.
    """
    shape = tuple(shape)
    bits = np.random.PCG64(zlib.crc32(name.encode())).random_raw(int(np.prod(shape)))
    fraction = (bits >> np.uint64(40)).astype(np.float64) / 2**24
    return (low + (high - low) * fraction).astype(np.float32).reshape(shape)


def images(n: int, height: int, width: int) -> np.ndarray:
    """Return random images, uint8 [n, height, width, 3]."""
    return uniform("images", (n, height, width, 3), 0, 256).astype(np.uint8)


def state_dict(layers: dict[str, list[int]]) -> Tensors:
    """Return tensors of a PyTorch network with convolution kernels of these shapes, OIHW."""
    tensors: Tensors = {}

    def add(name: str, shape: Iterable[int], low: float, high: float) -> None:
        tensors[name] = uniform(name, shape, low, high)

    for layer, shape in layers.items():
        bound = (6 / np.prod(shape[1:])) ** 0.5  # He initialization keeps the scale of activations
        add(f"{layer}.conv.weight", shape, -bound, bound)
        add(f"{layer}.bn.weight", shape[:1], 0.5, 1.5)
        add(f"{layer}.bn.bias", shape[:1], -0.2, 0.2)
        add(f"{layer}.bn.running_mean", shape[:1], -0.2, 0.2)
        add(f"{layer}.bn.running_var", shape[:1], 0.5, 1.5)
    add("fc.weight", (1008, 2048), -0.05, 0.05)
    add("fc.bias", (1008,), -1, 1)
    return tensors


def _pickled(tensors: Tensors, *, legacy: bool) -> bytes:
    """Return the pickled dictionary that `torch.save` writes, in protocol 2."""

    def opcodes(value: object) -> bytes:
        return pickle.dumps(value, 2)[2:-1]  # without the protocol header and the stop

    parts = [b"\x80\x02}("]
    for key, (name, value) in enumerate(tensors.items()):
        strides = tuple(stride // value.itemsize for stride in value.strides)
        parts += [
            opcodes(name) + b"ctorch._utils\n_rebuild_tensor_v2\n((",
            opcodes("storage") + b"ctorch\nFloatStorage\n",
            opcodes(str(key)) + opcodes("cpu") + opcodes(value.size),
            (b"N" if legacy else b"") + b"tQ",  # a tuple that identifies the storage
            opcodes(0) + opcodes(value.shape) + opcodes(strides),
            opcodes(False) + b"ccollections\nOrderedDict\n)RtR",
        ]
    return b"".join([*parts, b"u."])


def write_zip(path: Path, tensors: Tensors) -> None:
    """Write the checkpoint format of PyTorch 1.6 and later."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", _pickled(tensors, legacy=False))
        for key, value in enumerate(tensors.values()):
            archive.writestr(f"archive/data/{key}", value.tobytes())


def write_legacy(path: Path, tensors: Tensors) -> None:
    """Write the checkpoint format before PyTorch 1.6."""
    with path.open("wb") as file:
        for value in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
            pickle.dump(value, file, 2)
        file.write(_pickled(tensors, legacy=True))
        pickle.dump([str(key) for key in range(len(tensors))], file, 2)
        for value in tensors.values():
            file.write(value.size.to_bytes(8, "little") + value.tobytes())
