"""Multilayer perceptrons: parameter counts by hand, outputs, labels and bfloat16."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.networks import mlp

KEY = jax.random.key(5)
LABELS = jnp.array([0, 3, 9, 3], jnp.int32)


def parameter_count(variables):
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


# 100-128-256-512-784 and 784-512-256-1: weights and biases of each layer.
GENERATOR = (100 * 128 + 128) + (128 * 256 + 256) + (256 * 512 + 512) + (512 * 784 + 784)
DISCRIMINATOR = (784 * 512 + 512) + (512 * 256 + 256) + (256 * 1 + 1)


@pytest.mark.parametrize(
    ("module", "cond", "inputs", "parameters"),
    [
        (mlp.Generator(), None, (4, 100), GENERATOR),
        (mlp.Generator(classes=10), LABELS, (4, 100), GENERATOR + 10 * 128),
        # Batch norm's scale replaces the bias of the layer before it; its offset is additional.
        (mlp.Generator(norm="batch"), None, (4, 100), GENERATOR + 128 + 256 + 512),
        (mlp.Discriminator(), None, (4, 28, 28, 1), DISCRIMINATOR),
        (mlp.Discriminator(classes=10), LABELS, (4, 28, 28, 1), DISCRIMINATOR + 10 * 512),
        (mlp.Discriminator(norm="spectral"), None, (4, 28, 28, 1), DISCRIMINATOR),
        (mlp.Discriminator(minibatch_std=4), None, (4, 28, 28, 1), DISCRIMINATOR + 1),
        (mlp.Discriminator(last_bias=False), None, (4, 28, 28, 1), DISCRIMINATOR - 1),
    ],
)
def test_parameter_counts(module, cond, inputs, parameters):
    variables = jax.eval_shape(lambda: module.init(KEY, jnp.zeros(inputs), cond, train=False))
    assert (GENERATOR, DISCRIMINATOR) == (579_728, 533_505)
    assert parameter_count(variables) == parameters


@pytest.mark.parametrize(
    ("out", "low", "high"), [("sigmoid", 0, 1), ("tanh", -1, 1), ("linear", -np.inf, np.inf)]
)
def test_generator_outputs(out, low, high):
    module = mlp.Generator(shape=(3, 3, 2), widths=(8,), out=out)
    z = 100 * jax.random.normal(KEY, (16, 5))
    output = module.apply(module.init(KEY, z, train=False), z, train=False)
    assert output.shape == (16, 3, 3, 2)
    assert low <= output.min() < output.max() <= high
    # Large inputs give values well beyond 1 without the output nonlinearity.
    assert output.max() > (1 if out == "linear" else 0.9)


@pytest.mark.parametrize(
    ("module", "inputs"),
    [
        (mlp.Generator(shape=(2,), widths=(8,), classes=10), (4, 5)),
        (mlp.Discriminator(widths=(8,), classes=10), (4, 2)),
    ],
)
def test_conditional_networks_depend_on_the_label(module, inputs):
    x = jnp.ones(inputs)
    variables = module.init(KEY, x, LABELS, train=False)
    outputs = np.asarray(module.apply(variables, x, LABELS, train=False))
    np.testing.assert_array_equal(outputs[1], outputs[3])  # the same input, the same label
    assert (outputs[0] != outputs[1]).any()
    assert (outputs[1] != outputs[2]).any()
    with pytest.raises(ValueError, match="of 10 classes, got no labels"):
        module.apply(variables, x, train=False)


NETWORKS = [
    (mlp.Generator(shape=(6,), widths=(16, 8)), (8, 5)),
    (mlp.Generator(shape=(6,), widths=(16, 8), norm="batch"), (8, 5)),
    (mlp.Discriminator(widths=(16, 8)), (8, 6)),
    (mlp.Discriminator(widths=(16, 8), norm="batch", minibatch_std=4), (8, 6)),
    (mlp.Discriminator(widths=(16, 8), norm="spectral", minibatch_std=4), (8, 6)),
]


@pytest.mark.parametrize(("module", "inputs"), NETWORKS)
def test_bfloat16_applies_only_to_the_computation(module, inputs):
    x, outputs, collections = jax.random.normal(KEY, inputs), {}, {}
    variables = module.clone(dtype="bfloat16").init(KEY, x, train=False)
    for dtype in ("float32", "bfloat16"):
        outputs[dtype], collections[dtype] = module.clone(dtype=dtype).apply(
            variables, x, train=True, mutable=["batch_stats"], capture_intermediates=True
        )
    stats = collections["bfloat16"].get("batch_stats", ())
    for leaf in jax.tree.leaves((variables, stats, outputs)):
        assert leaf.dtype == jnp.float32
    # All outputs of layers except the last have the dtype of the computation.
    del collections["bfloat16"]["intermediates"]["__call__"]
    inner = jax.tree.leaves(collections["bfloat16"]["intermediates"])
    assert {leaf.dtype.name for leaf in inner} == {"bfloat16"}
    # Three layers with 8-bit rounding of values about 1.
    np.testing.assert_allclose(outputs["bfloat16"], outputs["float32"], rtol=0, atol=0.05)
