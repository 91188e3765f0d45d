"""Auxiliary classifiers: class logits beside the unchanged logits of the discriminator."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.losses import adversarial
from gan_jax.networks import dcgan, wgan_gp

KEY = jax.random.key(0)
NETWORKS = {
    "dcgan": dcgan.Discriminator(28, width=2, classes=3, norm="none", auxiliary=True),
    "dcgan-spectral": dcgan.Discriminator(28, width=2, classes=3, norm="spectral", auxiliary=True),
    "dcgan-bfloat16": dcgan.Discriminator(
        28, width=2, classes=3, norm="batch", auxiliary=True, dtype="bfloat16"
    ),
    "wgan_gp": wgan_gp.Discriminator(28, width=4, classes=3, auxiliary=True),
}
X, LABELS = jax.random.normal(KEY, (4, 28, 28, 1)), jnp.array([2, 0, 1, 2])


@pytest.mark.parametrize("name", NETWORKS)
def test_class_logits_do_not_change_the_logits(name):
    network = NETWORKS[name]
    variables = jax.jit(lambda: network.init(KEY, X, LABELS, train=True))()
    assert "auxiliary" not in variables  # not part of the state
    stats = [collection for collection in variables if collection != "params"]

    @jax.jit
    def both(labels):
        alone, _ = network.apply(variables, X, labels, train=True, mutable=stats)
        logits, collections = network.apply(
            variables, X, labels, train=True, mutable=[*stats, "auxiliary"]
        )
        return alone, logits, collections["auxiliary"]["class_logits"]

    alone, logits, class_logits = both(LABELS)
    assert (logits.shape, logits.dtype) == ((4,), jnp.float32)
    assert (class_logits.shape, class_logits.dtype) == ((4, 3), jnp.float32)
    np.testing.assert_array_equal(logits, alone)
    for original, shifted in zip(both(LABELS), both((LABELS + 1) % 3), strict=True):
        np.testing.assert_array_equal(original, shifted)  # independent of the labels
    assert len(np.unique(class_logits)) == class_logits.size


@pytest.mark.parametrize("name", ["dcgan", "wgan_gp"])
def test_class_logits_are_a_linear_layer_of_the_features(name):
    """With the weights of one class in the logit's layer, the logit is the class logit."""
    network = NETWORKS[name].clone(last_bias=True)
    variables = jax.jit(lambda: network.init(KEY, X, LABELS, train=True))()
    params = variables["params"]
    assert set(params["classify"]) == {"kernel", "bias"}

    @jax.jit
    def run(params):
        return network.apply({"params": params}, X, LABELS, train=True, mutable="auxiliary")

    bias = jnp.array([0.5, -1.0, 2.0])
    params = {**params, "classify": {**params["classify"], "bias": bias}}
    class_logits = run(params)[1]["auxiliary"]["class_logits"]
    for label in range(3):
        class_params = {"kernel": params["classify"]["kernel"][:, label : label + 1]}
        logits, _ = run({**params, "Dense_0": {**class_params, "bias": bias[label : label + 1]}})
        np.testing.assert_allclose(logits, class_logits[:, label], rtol=1e-5, atol=1e-6)  # float32


@pytest.mark.parametrize("name", ["dcgan", "dcgan-spectral", "wgan_gp"])
def test_zero_classes_are_rejected(name):
    network = NETWORKS[name].clone(classes=0)
    with pytest.raises(ValueError, match=r"classes .* auxiliary classifier, got 0"):
        jax.eval_shape(lambda: network.init(KEY, X, train=True))


def test_the_classifier_learns_from_the_cross_entropy():
    """The gradient reaches every layer except the logit's."""
    network = NETWORKS["wgan_gp"]
    variables = jax.jit(lambda: network.init(KEY, X, LABELS, train=True))()

    @jax.jit
    @jax.grad
    def gradient(params):
        _, collections = network.apply(
            {"params": params}, X, LABELS, train=True, mutable="auxiliary"
        )
        return adversarial.cross_entropy(collections["auxiliary"]["class_logits"], LABELS)

    grads = gradient(variables["params"])
    assert not jax.tree.reduce(lambda nonzero, leaf: nonzero or leaf.any(), grads.pop("Dense_0"), 0)
    for path, leaf in jax.tree.leaves_with_path(grads):
        assert leaf.any(), jax.tree_util.keystr(path)
