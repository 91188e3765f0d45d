"""RelGAN against plain NumPy: memory, Gumbel-softmax, straight-through, discriminator."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.core import keys
from gan_jax.networks import lstm, relgan, sequence

MEMORY = relgan.RelationalMemory(slots=3, heads=2, head_size=2)
TINY = sequence.Generator(lstm.Cell(4, deviation=1.5), 3, 3, embedding=2, deviation=1.5)


def random_variables(module, *inputs, seed=0, **kwargs):
    """Sample variables from N(0, 1), since half of the initial ones are zeros or ones."""
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), *inputs, **kwargs))
    random = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: jnp.asarray(random.normal(size=leaf.shape), "float32"), shapes)


def make_keys(n, seed=0):
    return keys.latents(keys.example_keys(keys.root_key(seed), n), 2, "key")


def test_relational_memory_equals_a_plain_computation():
    random = np.random.default_rng(1)
    memory, x = random.normal(size=(2, 3, 4)), random.normal(size=(2, 5))
    inputs = jnp.asarray(memory, "float32"), jnp.asarray(x, "float32")
    variables = random_variables(MEMORY, *inputs)
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables["params"])

    def dense(name, y):
        return y @ p[name]["kernel"] + p[name].get("bias", 0)

    def norm(name, y):
        scaled = (y - y.mean()) / np.sqrt(y.var() + 1e-6)
        return scaled * p[name]["scale"] + p[name]["bias"]

    def sigmoid(y):
        return 1 / (1 + np.exp(-y))

    expected = []
    for slots, value in zip(memory, x, strict=True):
        row = dense("project", value)
        rows = np.vstack([slots, row])
        qkv = norm("norm_qkv", dense("qkv", rows))
        heads = []
        for head in (qkv[:, :6], qkv[:, 6:]):
            q, k, v = head[:, :2], head[:, 2:4], head[:, 4:]
            weights = np.exp(q @ k.T / np.sqrt(2))
            heads.append(weights / weights.sum(1, keepdims=True) @ v)
        rows = norm("norm_attended", rows + np.hstack(heads))
        rows = norm("norm_mapped", rows + dense("mapped", np.maximum(dense("hidden", rows), 0)))
        gates = dense("gate_memory", np.tanh(slots)) + dense("gate_input", row)
        new = sigmoid(gates[:, :4]) * np.tanh(rows[:3]) + sigmoid(gates[:, 4:] + 1) * slots
        expected.append(new)
    new, out = jax.jit(MEMORY.apply)(variables, *inputs)
    np.testing.assert_allclose(new, expected, rtol=1e-4, atol=1e-5)  # float32, through ten layers
    np.testing.assert_array_equal(out, np.asarray(new).reshape(2, -1))
    np.testing.assert_array_equal(MEMORY.carry(2)[1], np.eye(3, 4))


def parameter_count(module, *inputs, **kwargs):
    shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), *inputs, **kwargs))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))


@pytest.mark.parametrize("vocabulary", [4683, 5000])
def test_parameter_counts_equal_those_of_the_published_code(vocabulary):
    """Compare with weilinie/RelGAN at f5c1866, rmc_vanilla.py with its COCO settings.

    No total is published, so this is the sum over its variables.
    """
    width = 2 * 256
    embedding, start = vocabulary * 32, 32 * width + width
    attention = width * 3 * width + 2 * 3 * width
    norms, mapped = 2 * 2 * width, 2 * (width * width + width)
    gates, out = 2 * width * 2 * width, width * vocabulary + vocabulary
    gen = sequence.Generator(relgan.RelationalMemory(1, 2, 256), 37, vocabulary, embedding=32)
    count = parameter_count(gen, keys.dummy_latents(2, 2, "key"), train=False)
    assert count == embedding + start + attention + norms + mapped + gates + out

    filters = sum(size * 300 + 300 for size in (2, 3, 4, 5))
    highway, last = 2 * 1200 * 1200, 1200 * 100 + 100 + 100 + 1
    count = parameter_count(relgan.Discriminator(), jnp.zeros((2, 37, vocabulary)), train=False)
    assert count == vocabulary * 64 + filters + highway + last


def test_lstm_has_the_parameters_of_seqgan():
    """Count the embedding, four gates with a bias each, and the output (Yu et al.)."""
    gen = lstm.oracle_generator(20, 5000)
    count = parameter_count(gen, keys.dummy_latents(2, 2, "key"), train=False)
    assert count == 5000 * 32 + 4 * (32 * 32 + 32 * 32 + 32) + 32 * 5000 + 5000


def test_gumbel_softmax_and_straight_through_have_the_gradient_of_the_softmax():
    random = np.random.default_rng(2)
    x, weights = random.normal(size=(4, 5)), random.normal(size=(4, 5))
    beta = 1.7
    soft = np.exp(beta * x) / np.exp(beta * x).sum(1, keepdims=True)
    jacobian = beta * (soft[:, :, None] * np.eye(5) - soft[:, :, None] * soft[:, None])
    expected = np.einsum("ni,nij->nj", weights, jacobian)

    def soft_sum(x):
        return (sequence.gumbel_softmax(x, beta) * weights).sum()

    def hard_sum(x):
        return (sequence.straight_through(sequence.gumbel_softmax(x, beta)) * weights).sum()

    x32 = jnp.asarray(x, "float32")
    np.testing.assert_allclose(sequence.gumbel_softmax(x32, beta), soft, rtol=1e-5)
    hard = np.eye(5)[x.argmax(1)]
    output = sequence.straight_through(sequence.gumbel_softmax(x32, beta))
    np.testing.assert_allclose(output, hard, atol=2e-7)  # soft + (hard - soft), rounded once
    for function in (soft_sum, hard_sum):
        np.testing.assert_allclose(jax.grad(function)(x32), expected, rtol=1e-4, atol=1e-6)


def all_sequences(vocabulary, length):
    return np.array(list(itertools.product(range(vocabulary), repeat=length)))


@pytest.fixture(scope="module")
def tiny():
    return random_variables(TINY, make_keys(1), train=False)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_samples_follow_the_likelihood(tiny, temperature):
    rows = all_sequences(3, 3)
    real = jnp.asarray(np.eye(3)[rows], "float32")
    options = {"train": False, "temperature": temperature}
    p = np.exp(TINY.apply(tiny, real, method="log_likelihood", **options))
    assert p.sum() == pytest.approx(1, abs=1e-5)  # 27 numbers of float32
    n = 4000
    samples = np.asarray(jax.jit(lambda z: TINY.apply(tiny, z, **options))(make_keys(n)))
    assert set(np.unique(samples)) == {0, 1}
    np.testing.assert_array_equal(samples.sum(-1), 1)
    index = samples.argmax(-1) @ np.array([9, 3, 1])
    count = np.bincount(index, minlength=27)
    # Six standard deviations of each count. A wrong distribution in one step would differ by more.
    assert (np.abs(count - n * p) < 6 * np.sqrt(n * p * (1 - p)) + 1).all()


def test_noise_depends_only_on_the_examples_key(tiny):
    z = make_keys(6)
    run = jax.jit(lambda z: TINY.apply(tiny, z, train=True, mutable=["schedule"])[0])
    # Products of another batch size may differ in the last bit.
    np.testing.assert_allclose(run(z)[2:4], run(z[2:4]), rtol=1e-5)
    assert len(np.unique(np.asarray(run(z))[..., 0])) == 6 * 3


def test_beta_rises_with_the_training_calls(tiny):
    gen = TINY.clone(beta_end=16.0, beta_steps=4)
    z, state = make_keys(3), tiny["schedule"] | {"calls": jnp.float32(0)}
    run = jax.jit(
        lambda calls: gen.apply(
            {"params": tiny["params"], "schedule": {"calls": calls}},
            z,
            train=True,
            mutable=["schedule"],
        )
    )
    # With the same noise, rows at beta b are those at 1 to the power b, normalized to sum to 1.
    first, changed = run(state["calls"])
    assert changed["schedule"]["calls"] == 1
    for calls, beta in ((1, 2.0), (2, 4.0), (4, 16.0), (9, 16.0)):
        expected = np.asarray(first, np.float64) ** beta
        expected /= expected.sum(-1, keepdims=True)
        np.testing.assert_allclose(run(jnp.float32(calls))[0], expected, rtol=1e-3, atol=1e-6)
    _, changed = gen.apply(tiny, z, train=False, mutable=["schedule"])
    assert changed["schedule"]["calls"] == tiny["schedule"]["calls"]


def test_straight_through_rows_are_one_hot_and_have_the_soft_gradient(tiny):
    z, weights = make_keys(3), np.random.default_rng(3).normal(size=(3, 3, 3))

    def rows(gen):
        def run(params):
            variables = {"params": params, "schedule": {"calls": jnp.float32(5)}}
            samples = gen.apply(variables, z, train=True, mutable=["schedule"])[0]
            return (samples * weights).sum(), samples

        return jax.jit(jax.grad(run, has_aux=True))(tiny["params"])

    soft, hard = rows(TINY), rows(TINY.clone(straight_through=True))
    np.testing.assert_allclose(np.sort(hard[1], -1)[..., -1], 1, atol=1e-6)
    np.testing.assert_array_equal(hard[1].argmax(-1), soft[1].argmax(-1))
    for soft_grad, hard_grad in zip(
        jax.tree.leaves(soft[0]), jax.tree.leaves(hard[0]), strict=True
    ):
        np.testing.assert_allclose(soft_grad, hard_grad, rtol=1e-5, atol=1e-6)


def test_the_discriminator_equals_a_plain_computation():
    disc = relgan.Discriminator(4, 2, filters=3, sizes=(2, 3), hidden=5)
    x = jax.random.uniform(jax.random.key(4), (2, 6, 7))
    variables = random_variables(disc, x, train=False)
    p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables["params"])
    embedded = np.asarray(x, np.float64) @ p["embed"]["kernel"]
    expected = np.zeros((2, 2))
    for n, r in np.ndindex(2, 2):
        y, features = embedded[n, :, 2 * r : 2 * r + 2], []
        for layer, size in (("Dense_0", 2), ("Dense_1", 3)):
            kernel = p[layer]["kernel"].reshape(2, size, 3)  # feature, time, filter
            responses = [np.einsum("te,etf->f", y[i : i + size], kernel) for i in range(7 - size)]
            features.append(np.maximum(np.max(responses, 0) + p[layer]["bias"], 0))
        y = np.concatenate(features)
        gate = 1 / (1 + np.exp(-(y @ p["gate"]["kernel"])))
        y = gate * np.maximum(y @ p["highway"]["kernel"], 0) + (1 - gate) * y
        y = y @ p["Dense_2"]["kernel"] + p["Dense_2"]["bias"]
        expected[n, r] = y @ p["Dense_3"]["kernel"][:, 0] + p["Dense_3"]["bias"][0]
    logits = jax.jit(lambda x: disc.apply(variables, x, train=True))(x)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)  # float32


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"representations": 3}, "representations .* got 3"), ({"sizes": (9,)}, "sizes .* got 9")],
    ids=["representations", "filters"],
)
def test_invalid_discriminator_fields_are_rejected(fields, message):
    disc = relgan.Discriminator(4, **{"representations": 2, **fields})
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(lambda: disc.init(jax.random.key(0), jnp.zeros((1, 6, 7)), train=False))
