"""The FID network as features: FID, KID and the Inception score are of these."""

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
    """Images uint8 [n, h, w, 1 or 3] -> features float32 [n, tap], tap one of TAPS.

    `weights` as in inception_weights.load. The logits of the 2048 features are without their bias:
    Salimans et al. 2016 (1606.03498) took the Inception score of these, and so does whoever
    compares with them. Raises UserError for another tap, or if the weights cannot be had.
    """
    if tap not in TAPS:
        raise UserError(f"Inception features: {tap} given, allowed are {', '.join(map(str, TAPS))}")
    variables, sha256 = inception_weights.load_inception_weights(weights, check_hash=check_hash)
    partial = "fc" not in variables["params"]
    if partial and TAPS.index(tap) > TAPS.index(inception_weights.PARTIAL_TAP):
        raise UserError(
            f"Inception features: {tap} given, but the weights in {weights} end at "
            f"{inception_weights.PARTIAL_TAP}; {inception_weights.NAMES[0]} has all"
        )
    network = Network(tap)

    def function(variables: Any, images: jax.Array) -> jax.Array:
        pictures = (resize.resize(images) - 128) / 128
        return jnp.asarray(network.apply(variables, pictures))

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
