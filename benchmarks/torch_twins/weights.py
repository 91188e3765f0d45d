"""Flax's parameters and statistics as the twins' tensors, by name."""

from typing import Any

import jax
import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]

NAMES = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}


def tensors(tree: Any) -> dict[str, torch.Tensor]:
    """A tree of parameters, or of gradients by them, or of statistics, under the twins' names.

    Of spectral norm only u: sigma is not needed to go on.
    """
    found = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        *modules, name = "/".join(str(part.key) for part in path).split("/")
        if name == "sigma":
            continue
        if name == "u":  # of DownBlock_0/SpectralNorm_0 under the name Conv_0/kernel
            modules = [part for part in modules[:-1] if not part.startswith("SpectralNorm_")]
        value = _ordered(np.asarray(leaf), modules, name)
        found[".".join([*modules, NAMES.get(name, name)])] = torch.tensor(value.copy())
    return found


def _ordered(value: np.ndarray, modules: list[str], name: str) -> np.ndarray:
    """With its axes in PyTorch's order."""
    if name == "u":
        return value[0]
    if name == "basis":  # [h, w, c]
        return value.transpose(2, 0, 1)
    if name != "kernel":
        return value
    if value.ndim == 2:
        return value.T
    if modules[-1].startswith("ConvTranspose"):  # [h, w, in, out], as it lies over the picture
        return np.flip(value, (0, 1)).transpose(2, 3, 0, 1)
    return value.transpose(3, 2, 0, 1)


def load(network: nn.Module, params: Any, stats: Any) -> None:
    """Gives the twin the Flax network's parameters and statistics. Raises ValueError if one has
    what the other has not."""
    found = tensors(params) | tensors(stats.get("batch_stats", {}))
    missing, unexpected = network.load_state_dict(found, strict=False)
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise ValueError(f"the twin misses {unexpected}, the network {missing}")


def examples(x: np.ndarray, dims: int) -> torch.Tensor:
    """Pictures [..., h, w, c], of 3 `dims`, as [..., c, h, w]; points [..., d] as they are."""
    return torch.tensor((np.moveaxis(x, -1, -3) if dims == 3 else x).copy())
