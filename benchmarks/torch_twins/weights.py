"""Conversion of Flax's parameters and statistics to tensors of the twins."""

from typing import Any

import jax
import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]

NAMES = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}


def tensors(tree: Any) -> dict[str, torch.Tensor]:
    """Convert a tree of parameters, gradients or statistics to tensors by the twins' names.

    Spectral norm's sigma is left out: u determines it.
    """
    converted = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        *modules, name = "/".join(str(part.key) for part in path).split("/")
        if name == "sigma":
            continue
        if name == "u":  # path: DownBlock_0/SpectralNorm_0/Conv_0/kernel/u
            modules = [part for part in modules[:-1] if not part.startswith("SpectralNorm_")]
        array = _transpose(np.asarray(leaf), modules, name)
        converted[".".join([*modules, NAMES.get(name, name)])] = torch.tensor(array.copy())
    return converted


def _transpose(array: np.ndarray, modules: list[str], name: str) -> np.ndarray:
    """Return the array with its axes in PyTorch's order."""
    if name == "u":
        return array[0]
    if name == "basis":  # [h, w, c]
        return array.transpose(2, 0, 1)
    if name != "kernel":
        return array
    if array.ndim == 2:
        return array.T
    if modules[-1].startswith("ConvTranspose"):  # [h, w, in, out]
        return np.flip(array, (0, 1)).transpose(2, 3, 0, 1)
    return array.transpose(3, 2, 0, 1)


def load(network: nn.Module, params: Any, stats: Any) -> None:
    """Copy parameters and statistics of a Flax network to its twin.

    Args:
        network: Twin.
        params: Parameters of the Flax network.
        stats: Its other collections.

    Raises:
        ValueError: They do not correspond.
    """
    converted = tensors(params) | tensors(stats.get("batch_stats", {}))
    missing, unexpected = network.load_state_dict(converted, strict=False)
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise ValueError(
            f"names must agree, got {unexpected} only in Flax, {missing} only in PyTorch"
        )


def examples(x: np.ndarray, dims: int) -> torch.Tensor:
    """Convert images [..., h, w, c] (3 `dims`) to [..., c, h, w]; points [..., d] stay."""
    return torch.tensor((np.moveaxis(x, -1, -3) if dims == 3 else x).copy())
