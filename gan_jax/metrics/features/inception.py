"""Features of the FID network, for FID, KID and the Inception score."""

import hashlib
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.core.errors import UserError
from gan_jax.metrics.features import inception_weights, resize
from gan_jax.metrics.features.extractor import Extractor
from gan_jax.metrics.features.inception_network import TAPS, Network

BATCH = 32


def extractor(
    weights: Path | None = None, tap: int = 2048, *, check_hash: bool = True
) -> Extractor:
    """Make the feature extractor of the FID network.

    The logits of the 2048 features have no bias. Salimans et al. 2016 (1606.03498) compute the
    Inception score from these, so comparable scores must do the same.

    Args:
        weights: Path of the weights, see `inception_weights.load_inception_weights`.
        tap: Layer of the features by its dimension, one of TAPS.
        check_hash: Whether to require the published file.

    Returns:
        Extractor of features float32 [n, tap].

    Raises:
        UserError: If `tap` is not one of TAPS, or the weights are not available.
    """
    if tap not in TAPS:
        raise UserError(f"Inception features must be of {', '.join(map(str, TAPS))}, got {tap}")
    variables, sha256 = inception_weights.load_inception_weights(weights, check_hash=check_hash)
    partial = "fc" not in variables["params"]
    if partial and TAPS.index(tap) > TAPS.index(inception_weights.PARTIAL_TAP):
        raise UserError(
            f"Inception features must be of at most layer {inception_weights.PARTIAL_TAP} with the "
            f"partial weights in {weights}, got {tap}; {inception_weights.NAMES[0]} has all layers"
        )
    network = Network(tap)

    def function(variables: Any, images: jax.Array) -> jax.Array:
        resized = (resize.resize(images) - 128) / 128
        return jnp.asarray(network.apply(variables, resized))

    head = None
    if tap == 2048:
        head = (variables["params"]["fc"]["kernel"], np.zeros(1008, np.float32))
    return Extractor(
        f"inception-{tap}" + (" (partial weights, float16)" if partial else ""),
        hashlib.sha256(f"inception {tap} of {sha256}".encode()).hexdigest(),
        f"tf1 bilinear {resize.SIZE}",
        function,
        variables,
        head,
        batch=BATCH,
    )
