"""Weights of the FID network, with batch norm folded into kernels and biases.

They are read from the file that most implementations share, or from a file of the lower layers.
Nothing is downloaded: errors name the required file and the folders that are searched.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from gan_jax.core.cache import cache_folder
from gan_jax.core.errors import UserError
from gan_jax.data.images import files
from gan_jax.metrics.features import torch_checkpoint
from gan_jax.metrics.features.inception_network import Network

NAMES = ("pt_inception-2015-12-05-6726825d.pth", "weights-inception-2015-12-05-6726825d.pth")
"""Names of the same file in pytorch-fid and in torch-fidelity."""
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
SOURCE = "https://github.com/mseitzer/pytorch-fid/releases/tag/fid_weights"
PARTIAL = "trunk_to_mixed8_f16.npz"
"""Layers up to mixed_8, under their names in the TensorFlow graph, with kernels in float16."""
PARTIAL_TAP = 1280
EPSILON = 1e-3  # of batch norm

STEM = {
    "Conv2d_1a_3x3": "conv",
    "Conv2d_2a_3x3": "conv_1",
    "Conv2d_2b_3x3": "conv_2",
    "Conv2d_3b_1x1": "conv_3",
    "Conv2d_4a_3x3": "conv_4",
}
BLOCKS = ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e", "7a")  # mixed, mixed_1, ... mixed_8
TOWERS = {
    "branch1x1": "",
    "branch3x3": "",
    "branch5x5": "_tower",
    "branch7x7": "_tower",
    "branch3x3dbl": "_tower_1",
    "branch7x7dbl": "_tower_1",
    "branch7x7x3": "_tower_1",
    "branch_pool": "_tower_2",
}
REDUCTION_TOWERS = {"6a": {"branch3x3dbl": "_tower"}, "7a": {"branch3x3": "_tower"}}  # overrides


def load_inception_weights(
    path: Path | None = None, *, check_hash: bool = True
) -> tuple[dict[str, Any], str]:
    """Load the weights of the FID network.

    Args:
        path: The PyTorch file, the partial .npz file (layers up to the 1280 features), or a folder
            with one of them. None: the PyTorch file in the cache folder of gan_jax or of PyTorch.
        check_hash: Whether the PyTorch file must be the published one.

    Returns:
        The variables of `Network`, and the sha256 of the file.

    Raises:
        UserError: If the file does not exist or is not the published one, or a tensor is missing or
            has the wrong shape.
    """
    path = _find(path)
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    if path.suffix == ".npz":
        layers = _partial_layers(path)
    else:
        if check_hash and sha256 != SHA256:
            raise UserError(
                f"{path} is not {NAMES[0]}, or damaged: its sha256 must be {SHA256[:8]}..., "
                f"got {sha256[:8]}..."
            )
        layers = _layers(path)
    params = {}
    for layer, (kernel, bias) in layers:
        params[f"{layer}.kernel"], params[f"{layer}.bias"] = kernel, bias
    return {"params": traverse_util.unflatten_dict(params, sep=".")}, sha256


def _find(path: Path | None) -> Path:
    if path is None:
        hub = Path(os.environ.get("TORCH_HOME", "~/.cache/torch")).expanduser()
        folders = [cache_folder(), hub / "hub" / "checkpoints"]
        files = [folder / name for folder in folders for name in NAMES]
        hint = f"put {NAMES[0]} from {SOURCE} into {folders[0]}, or give its path as weights"
    elif path.is_dir():
        files = [path / name for name in (*NAMES, PARTIAL)]
        hint = f"{path} has neither {NAMES[0]} nor {PARTIAL}"
    else:
        files, hint = [path], f"{path} does not exist"
    for file in files:
        if file.exists():
            return file
    raise UserError(f"weights of the Inception network not found: {hint}")


def _shapes(tap: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the kernels by layer, in the order of the network."""
    images = jnp.zeros((1, 299, 299, 3))
    variables = jax.eval_shape(lambda: Network(tap).init(jax.random.key(0), images))
    leaves: dict[str, Any] = traverse_util.flatten_dict(variables["params"], sep=".")
    return {
        name.removesuffix(".kernel"): leaf.shape
        for name, leaf in leaves.items()
        if name.endswith(".kernel")
    }


def _tensor_reader(path: Path, tensors: dict[str, np.ndarray]) -> Callable[..., np.ndarray]:
    """Make the function `(name, shape) -> tensor` in float64, which raises UserError."""

    def read(name: str, shape: tuple[int, ...]) -> np.ndarray:
        if name not in tensors:
            raise UserError(f"{path} has no tensor {name!r}")
        if tensors[name].shape != shape:
            actual = list(tensors[name].shape)
            raise UserError(f"{path}: {name!r} must have shape {list(shape)}, got {actual}")
        return tensors[name].astype(np.float64)

    return read


Layers = Iterator[tuple[str, tuple[np.ndarray, np.ndarray]]]


def _layers(path: Path) -> Layers:
    """Yield the layers of the PyTorch file: names, kernels HWIO and biases, in float32."""
    read = _tensor_reader(path, torch_checkpoint.read_state_dict(path))
    for layer, shape in _shapes(1008).items():
        if layer == "fc":
            kernel, bias = read("fc.weight", shape[::-1]).T, read("fc.bias", shape[1:])
        else:
            height, width, inputs, outputs = shape
            kernel = read(f"{layer}.conv.weight", (outputs, inputs, height, width))
            gamma, beta, mean, variance = (
                read(f"{layer}.bn.{name}", (outputs,))
                for name in ("weight", "bias", "running_mean", "running_var")
            )
            scale = gamma / np.sqrt(variance + EPSILON)
            kernel, bias = kernel.transpose(2, 3, 1, 0) * scale, beta - mean * scale
        yield layer, (kernel.astype(np.float32), bias.astype(np.float32))


def _partial_layers(path: Path) -> Layers:
    """Yield the layers up to mixed_8 from the partial file."""
    read = _tensor_reader(path, files.read_npz(path))
    for layer, shape in _shapes(PARTIAL_TAP).items():
        name = _tensorflow_name(layer)
        kernel, bias = read(f"{name}/w", shape), read(f"{name}/b", shape[-1:])
        yield layer, (kernel.astype(np.float32), bias.astype(np.float32))


def _tensorflow_name(layer: str) -> str:
    """Return the TensorFlow name: `Mixed_5c.branch5x5_2` is `mixed_1_tower_conv_1`."""
    if layer in STEM:
        return STEM[layer]
    block, branch = layer.removeprefix("Mixed_").split(".")
    stem, _, number = branch.rpartition("_")
    if not number.isdigit():
        stem, number = branch, "1"
    tower = REDUCTION_TOWERS.get(block, {}).get(stem) or TOWERS[stem]
    mixed, conv = _numbered("mixed", BLOCKS.index(block)), _numbered("conv", int(number) - 1)
    return f"{mixed}{tower}_{conv}"


def _numbered(name: str, index: int) -> str:
    """Append the number that TensorFlow gives to repeated names."""
    return f"{name}_{index}" if index else name
