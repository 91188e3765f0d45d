"""Path length regularization (StyleGAN2, 1912.04958, eq. 4) of linear generators."""

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.losses.path_length import DECAY, path_length


def linear(shape):
    """Return a tensor, and a function of w [n, layers, d] to images, linear with that tensor."""
    tensor = jax.random.normal(jax.random.key(6), shape)
    return tensor, lambda w: 0.3 + jnp.einsum("nld,ldhwc->nhwc", w, tensor)


def test_path_length_of_a_linear_generator():
    """|J^T y|^2 is the mean over layers of |A_l^T y|^2, with y ~ N(0, 1) / sqrt(h w)."""
    tensor, apply = linear((3, 5, 4, 2, 2))
    keys = jax.random.split(jax.random.key(7), 8)
    y = np.stack([jax.random.normal(key, (4, 2, 2)) for key in keys]) / np.sqrt(8)
    gradients = np.einsum("ldhwc,nhwc->nld", tensor, y)
    lengths = np.sqrt((gradients**2).sum(2).mean(1))
    mean = 2 + DECAY * (lengths.mean() - 2)
    penalty, new_mean = jax.jit(path_length, static_argnums=0)(
        apply, jnp.zeros((8, 3, 5)), keys, jnp.float32(2)
    )
    np.testing.assert_allclose(new_mean, mean, rtol=1e-6)
    np.testing.assert_allclose(penalty, ((lengths - mean) ** 2).mean(), rtol=1e-5)

    def on_device(zeros, keys):
        return path_length(apply, zeros, keys, jnp.float32(2), "devices")

    device_results = jax.pmap(on_device, axis_name="devices", devices=jax.local_devices()[:2])(
        jnp.zeros((2, 4, 3, 5)), keys.reshape(2, 4)
    )
    np.testing.assert_allclose(device_results[0].mean(), penalty, rtol=1e-5)
    np.testing.assert_allclose(device_results[1], jnp.stack([new_mean] * 2), rtol=1e-6)


def test_path_length_is_finite_for_images_that_do_not_depend_on_w():
    def loss(scale):
        return path_length(
            lambda w: scale * jnp.ones((2, 4, 4, 3)) * w.sum(),
            jnp.zeros((2, 3, 5)),
            jax.random.split(jax.random.key(0), 2),
            jnp.float32(1),
        )[0]

    value, gradient = jax.jit(jax.value_and_grad(loss))(0.0)
    np.testing.assert_allclose([value, gradient], [(1 - DECAY) ** 2, 0], rtol=1e-6)
