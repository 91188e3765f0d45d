"""The U-Net and its critic: what they are conditioned on, and what they leave as it is."""

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
HOLE = jax.random.uniform(jax.random.key(4), (3, 8, 8, 1)) < 0.5
Z = jax.random.normal(KEY, (3, 5))


def test_known_pixels_come_back_bitwise_and_the_hole_is_not_seen():
    cond = masks.mask_image(REAL, HOLE)
    variables = GEN.init(KEY, Z, cond, train=True)
    made = GEN.apply(variables, Z, cond, train=True)
    np.testing.assert_array_equal(np.where(HOLE, 0, made), np.where(HOLE, 0, REAL))
    other = masks.mask_image(jnp.where(HOLE, 0.5, REAL), HOLE)
    np.testing.assert_array_equal(GEN.apply(variables, Z, other, train=True), made)
    again = GEN.apply(variables, -Z, cond, train=True)
    assert (np.abs(again - made).max((1, 2, 3)) > 1e-3).all()  # another z, another repair


def test_anything_is_a_condition():
    labels, attributes = jnp.array([2, 0, 1]), jnp.arange(6.0).reshape(3, 2)
    made = unet.condition_channels({"a": attributes, "b": labels, "c": REAL}, 3, 3, 8)
    assert made.shape == (3, 8, 8, 2 + 3 + 2)
    np.testing.assert_array_equal(made[1, 4, 5], [2, 3, 1, 0, 0, *REAL[1, 4, 5]])
    np.testing.assert_array_equal(unet.condition_channels(None, 0, 3, 8), np.ones((3, 8, 8, 1)))
    with pytest.raises(ValueError, match=r"cond .* got \[3, 4, 4, 2\]"):
        unet.condition_channels(REAL[:, ::2, ::2], 0, 3, 8)


def test_the_critic_is_of_the_whole_and_of_patches():
    """Far from a changed pixel the patches' part of the logit knows nothing of it."""
    disc = unet.Discriminator(**FIELDS)
    variables = disc.init(KEY, REAL, None, train=True)
    logits = disc.apply(variables, REAL, None, train=True)
    assert logits.shape == (3,)
    flat = jax.tree.map(jnp.zeros_like, variables["params"]["end"])
    params = {**variables["params"], "end": flat}  # without the logit of the whole

    def of(x):
        return disc.apply({"params": params}, x, None, train=True).sum()

    assert not np.allclose(disc.apply({"params": params}, REAL, None, train=True), logits)
    slope = jax.jacobian(jax.grad(of))(REAL[:1])[0, 0, 0, 0, 0]  # [8, 8, 2] of the corner's
    assert float(jnp.abs(slope[4:, 4:]).max()) == 0
