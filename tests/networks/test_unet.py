"""U-Net and its discriminator: conditions, known pixels, and global and patch logits."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.data import masks
from gan_jax.networks import unet

FIELDS = {"size": 8, "widths": (6, 4), "blocks": (1, 1), "cardinality": (1, 1), "expansion": 1}
GEN = unet.Generator(channels=2, **FIELDS)
KEY = jax.random.key(3)
REAL = jax.random.uniform(KEY, (3, 8, 8, 2), minval=-1.0)
MASK = jax.random.uniform(jax.random.key(4), (3, 8, 8, 1)) < 0.5
Z = jax.random.normal(KEY, (3, 5))


def test_known_pixels_keep_their_bits_and_masked_pixels_are_ignored():
    cond = masks.mask_image(REAL, MASK)
    variables = GEN.init(KEY, Z, cond, train=True)
    output = GEN.apply(variables, Z, cond, train=True)
    np.testing.assert_array_equal(np.where(MASK, 0, output), np.where(MASK, 0, REAL))
    other = masks.mask_image(jnp.where(MASK, 0.5, REAL), MASK)
    np.testing.assert_array_equal(GEN.apply(variables, Z, other, train=True), output)
    resampled = GEN.apply(variables, -Z, cond, train=True)
    assert (np.abs(resampled - output).max((1, 2, 3)) > 1e-3).all()  # another z, another inpainting


def test_labels_attributes_and_images_are_conditions():
    labels, attributes = jnp.array([2, 0, 1]), jnp.arange(6.0).reshape(3, 2)
    channels = unet.condition_channels({"a": attributes, "b": labels, "c": REAL}, 3, 3, 8)
    assert channels.shape == (3, 8, 8, 2 + 3 + 2)
    np.testing.assert_array_equal(channels[1, 4, 5], [2, 3, 1, 0, 0, *REAL[1, 4, 5]])
    np.testing.assert_array_equal(unet.condition_channels(None, 0, 3, 8), np.ones((3, 8, 8, 1)))
    with pytest.raises(ValueError, match=r"cond .* got \[3, 4, 4, 2\]"):
        unet.condition_channels(REAL[:, ::2, ::2], 0, 3, 8)


def test_the_discriminator_adds_global_and_patch_logits():
    """Patch logits far from a changed pixel do not depend on it."""
    disc = unet.Discriminator(**FIELDS)
    variables = disc.init(KEY, REAL, None, train=True)
    logits = disc.apply(variables, REAL, None, train=True)
    assert logits.shape == (3,)
    zeros = jax.tree.map(jnp.zeros_like, variables["params"]["end"])
    params = {**variables["params"], "end": zeros}  # without the global logit

    def logit_sum(x):
        return disc.apply({"params": params}, x, None, train=True).sum()

    assert not np.allclose(disc.apply({"params": params}, REAL, None, train=True), logits)
    hessian = jax.jacobian(jax.grad(logit_sum))(REAL[:1])[0, 0, 0, 0, 0]  # [8, 8, 2] of the corner
    assert float(jnp.abs(hessian[4:, 4:]).max()) == 0
