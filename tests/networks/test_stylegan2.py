"""StyleGAN2 against its papers: parameters, noise, mixing, truncation and path lengths.

The layers are tested in test_stylegan2_layers.py.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.losses.path_length import path_length
from gan_jax.networks import stylegan2, stylegan2_layers
from gan_jax.networks.r3gan import upsample

KEY = jax.random.key(0)
N = 4
SMALL = stylegan2.Generator(8, channel_max=6, latent=5, w_dim=7, mapping_layers=2)
CONDITIONAL = stylegan2.Discriminator(8, channel_max=6, mapping_layers=2, classes=3)


def normal(*shape, key=1):
    return jax.random.normal(jax.random.key(key), shape)


@partial(jax.jit, static_argnums=0)
def init(module, *inputs):
    return module.init(KEY, *inputs, train=False)


@partial(jax.jit, static_argnames=("network", "train"))
def run(network, variables, x, cond=None, *, train=False):
    return network.apply(variables, x, cond, train=train)


mix = jax.jit(stylegan2.mix_styles)


def latents(gen):
    return normal(N, gen.z_dim)


def make_variables(gen, cond=None):
    """Return variables of a small generator with nonzero noise strengths and mean w."""
    variables = init(gen, latents(gen), cond)

    def strengthen(path, leaf):
        return leaf + 0.5 if "noise_strength" in jax.tree_util.keystr(path) else leaf

    params = jax.tree_util.tree_map_with_path(strengthen, variables["params"])
    return {"params": params, "moments": {"w_mean": normal(gen.w_dim, key=2)}}


# Parameters


def parameter_count(network, shape):
    cond = jnp.zeros(shape[0], jnp.int32) if network.classes else None
    variables = jax.eval_shape(lambda: network.init(KEY, jnp.zeros(shape), cond, train=True))
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


def generator_count(size, base, depth, classes=0):
    """Count parameters for z and w of 512 numbers, and 3 colors.

    A modulated convolution has a style (a weight per number of w and channel, and a bias per
    channel), a kernel and a bias; 3x3 convolutions also have a noise strength.
    """
    width = {4 * 2**k: min(base // (4 * 2**k), 512) for k in range(9)}
    total = depth * (512 * 512 + 512) + 16 * width[4]
    if classes:
        total += classes * 512 + 512 + 512 * 512  # the embedding, and its part of the first layer
    side = 4
    while side <= size:
        c, d = width[max(side // 2, 4)], width[side]
        if side > 4:
            total += 513 * c + 9 * c * d + d + 1
        total += 513 * d + 9 * d * d + d + 1
        total += 513 * d + 3 * d + 3
        side *= 2
    return total


def discriminator_count(size, base, architecture, classes=0):
    width = {4 * 2**k: min(base // (4 * 2**k), 512) for k in range(9)}
    total, side = 3 * width[size] + width[size], size
    while side > 4:
        c, d = width[side], width[side // 2]
        total += 9 * c * c + c + 9 * c * d + d + (c * d if architecture == "resnet" else 0)
        side //= 2
    total += 9 * 513 * 512 + 512 + 16 * 512 * 512 + 512  # minibatch std adds a channel
    if not classes:
        return total + 513
    return total + 513 * 512 + (classes + 1) * 512 + 8 * 513 * 512


@pytest.mark.parametrize(
    ("size", "base", "depth", "architecture", "classes"),
    [
        (16, 32768, 8, "resnet", 0),
        (32, 32768, 2, "orig", 0),
        (32, 32768, 2, "orig", 10),
        (64, 16384, 8, "resnet", 0),
        (128, 32768, 8, "orig", 3),
        (256, 16384, 8, "resnet", 0),
        (1024, 32768, 8, "resnet", 0),
    ],
)
def test_parameter_counts(size, base, depth, architecture, classes):
    gen = stylegan2.Generator(size, channel_base=base, mapping_layers=depth, classes=classes)
    assert parameter_count(gen, (2, gen.z_dim)) == generator_count(size, base, depth, classes)
    disc = stylegan2.Discriminator(size, 32768, architecture=architecture, classes=classes)
    disc = disc.clone(channel_base=base)
    expected = discriminator_count(size, base, architecture, classes)
    assert parameter_count(disc, (2, size, size, 3)) == expected


def test_published_parameter_counts():
    """Compare with stylegan2-ada-pytorch's log for 1024x1024 pixels and two mapping layers.

    A user published the log.
    """
    assert generator_count(1024, 32768, 2) == 28_794_124
    assert discriminator_count(1024, 32768, "resnet") == 29_012_513


@pytest.mark.parametrize(("size", "mixing"), [(32, 0.0), (32, 0.9), (256, 0.9)])
def test_z_holds_noise_of_every_layer(size, mixing):
    """Noise for 32 pixels has 16 + 2 (64 + 256 + 1024) numbers."""
    noise = 16 + 2 * sum(4**k for k in range(3, size.bit_length()))
    gen = stylegan2.Generator(size, mixing=mixing)
    assert gen.z_dim == 512 + noise + (514 if mixing else 0)
    assert gen.w_shape == (2 * (size.bit_length() - 2), 512)
    assert gen.clone(noise=False).z_dim == gen.z_dim - noise


def test_bfloat16_is_used_at_the_four_largest_sizes_except_4x4():
    dtypes = [
        [stylegan2.stage_dtype(4 * 2**k, size, "bfloat16") for k in range(4)] for size in (32, 64)
    ]
    assert dtypes == [["float32"] + 3 * ["bfloat16"]] * 2
    assert stylegan2.stage_dtype(16, 256, "bfloat16") == "float32"
    assert stylegan2.stage_dtype(32, 256, "bfloat16") == "bfloat16"


# The generator


def test_noise_initially_has_no_effect():
    z = latents(SMALL)
    variables = init(SMALL, z)
    images = run(SMALL, variables, z)
    other = z.at[:, SMALL.latent :].set(7)
    np.testing.assert_array_equal(run(SMALL, variables, other), images)
    assert np.abs(images - images[:1]).max(axis=(1, 2, 3))[1:].min() > 1e-3


def test_noise_of_the_last_layer_is_the_last_of_z():
    """Compare pixels: only a 1x1 convolution follows the last 3x3 one."""
    z = latents(SMALL)
    variables = init(SMALL, z)
    params = dict(variables["params"])
    params["StyledConv_2"] = {**params["StyledConv_2"], "noise_strength": jnp.float32(1)}
    variables = {**variables, "params": params}
    images = run(SMALL, variables, z)
    earlier = z.at[:, SMALL.latent : -64].add(1)
    np.testing.assert_array_equal(run(SMALL, variables, earlier), images)
    pixel = z.at[:, -64 + 8 * 3 + 5].add(10)
    changed = np.abs(run(SMALL, variables, pixel) - images).max(-1) > 1e-6
    assert changed[:, 3, 5].all()
    assert changed.sum() == N


def test_colors_of_all_sizes_are_summed():
    """With constants from one ToRGB and zeros from the others, images have these colors."""
    z = latents(SMALL)
    variables = init(SMALL, z)
    params = dict(variables["params"])
    for i, bias in enumerate((jnp.array([1.0, 2.0, 3.0]), jnp.zeros(3))):
        name = f"ToRGB_{i}"
        params[name] = {**params[name], "kernel": 0 * params[name]["kernel"], "bias": bias}
    images = run(SMALL, {**variables, "params": params}, z)
    expected = upsample(jnp.broadcast_to(jnp.array([1.0, 2.0, 3.0]), (N, 4, 4, 3)))
    np.testing.assert_allclose(images, expected, rtol=1e-6)


def test_mixing_takes_the_second_w_from_the_crossover_on():
    w, other = jnp.zeros((6, 4, 3)), jnp.ones((6, 3))
    # Uniform numbers 0, 0.2, 0.5, 0.9, 1 for crossovers; the last example does not mix: 0.6 > 1/2.
    crossover_noise = jnp.array([-9, -0.8416, 0, 1.2816, 9, -9])
    mixing_noise = jnp.array([-9, -9, -0.01, -9, -9, 0.2533])
    mixed = mix(w, other, jnp.stack([crossover_noise, mixing_noise], 1), 0.5)
    crossovers = [4 - int(rows[:, 0].sum()) for rows in mixed]
    assert crossovers == [1, 1, 2, 3, 3, 4]
    for rows, crossover in zip(mixed, crossovers, strict=True):
        np.testing.assert_array_equal(rows, (np.arange(4) >= crossover)[:, None] * np.ones(3))


def test_crossovers_are_equally_likely():
    mixed = mix(jnp.zeros((30000, 4, 1)), jnp.ones((30000, 1)), normal(30000, 2), 0.9)
    counts = np.bincount(4 - np.asarray(mixed[..., 0].sum(1), int), minlength=5)
    # Five standard deviations of binomial counts.
    np.testing.assert_allclose(counts, [0, 9000, 9000, 9000, 3000], atol=5 * np.sqrt(30000 * 0.21))


def test_mixing_only_in_training():
    """z ends with the second latent and two random numbers; the noise does not move."""
    gen = SMALL.clone(mixing=0.5)
    variables, z = make_variables(SMALL), latents(gen)
    unmixed = run(SMALL, variables, z[:, : SMALL.z_dim])
    np.testing.assert_array_equal(run(gen, variables, z), unmixed)
    mixed = run(gen, variables, z.at[:, -1].set(-9), train=True)
    assert np.abs(mixed - unmixed).max(axis=(1, 2, 3)).min() > 1e-3
    np.testing.assert_allclose(
        run(gen, variables, z.at[:, -1].set(9), train=True), unmixed, atol=1e-6
    )
    same_latents = z.at[:, -7:-2].set(z[:, :5]).at[:, -1].set(-9)
    np.testing.assert_allclose(run(gen, variables, same_latents, train=True), unmixed, atol=1e-6)


@jax.jit
def compute_w(variables, z):
    params = variables["params"]["Mapping_0"]
    return stylegan2.Mapping(7, 2).apply({"params": params}, z[:, :5], jnp.zeros((N, 0)))


def test_rows_of_w_go_to_their_layers():
    """Each convolution has a row; ToRGB uses that of the next size (1912.04958, fig. 2)."""
    variables, z = make_variables(SMALL), latents(SMALL)

    @jax.jit
    def styles(perturbation):
        captured = SMALL.apply(
            {**variables, "perturbations": {"w": perturbation}},
            z,
            train=False,
            capture_intermediates=True,
            mutable="intermediates",
        )[1]["intermediates"]
        names = ("StyledConv_0", "StyledConv_1", "ToRGB_0", "StyledConv_2", "ToRGB_1")
        return {name: captured[name]["style"]["__call__"][0] for name in names}

    zeros = jnp.zeros((N, *SMALL.w_shape))
    before, changed = styles(zeros), []
    for row in range(4):
        after = styles(zeros.at[:, row].set(1))
        changed.append({name for name in before if not np.array_equal(before[name], after[name])})
    assert changed == [{"StyledConv_0"}, {"StyledConv_1", "ToRGB_0"}, {"StyledConv_2"}, {"ToRGB_1"}]


def test_truncation_moves_w_towards_its_mean():
    """Images are those of w perturbed by hand; with psi 0 only the noise remains."""
    variables, z = make_variables(SMALL), latents(SMALL)
    w, mean = compute_w(variables, z), variables["moments"]["w_mean"]
    half = run(SMALL.clone(truncation=0.5), variables, z)
    offset = jnp.broadcast_to(0.5 * (mean[None] - w)[:, None], (N, *SMALL.w_shape))
    perturbed = {**variables, "perturbations": {"w": offset}}
    # float32, numbers up to 10
    np.testing.assert_allclose(half, run(SMALL, perturbed, z), atol=1e-5)
    assert np.abs(half - run(SMALL, variables, z)).max() > 0.01
    same_noise = z.at[:, 5:].set(z[:1, 5:])
    mean_image = run(SMALL.clone(truncation=0.0), variables, same_noise)
    np.testing.assert_allclose(mean_image, mean_image[:1].repeat(N, 0), atol=1e-5)
    training_images = run(SMALL.clone(truncation=0.5), variables, z, train=True)
    np.testing.assert_allclose(training_images, run(SMALL, variables, z), atol=1e-6)


def test_mean_of_w_is_averaged_over_devices():
    variables, z = make_variables(SMALL), latents(SMALL)
    old = variables["moments"]["w_mean"]
    expected = 0.995 * old + 0.005 * compute_w(variables, z).mean(0)

    def train(gen, z):
        return gen.apply(variables, z, train=True, mutable=["moments"])[1]["moments"]["w_mean"]

    np.testing.assert_allclose(jax.jit(lambda: train(SMALL, z))(), expected, rtol=1e-5)
    sharded = jax.pmap(
        lambda z: train(SMALL.clone(axis="devices"), z),
        axis_name="devices",
        devices=jax.local_devices()[:2],
    )(z.reshape(2, N // 2, -1))
    np.testing.assert_allclose(sharded, jnp.stack([expected] * 2), rtol=1e-5)
    assert not init(SMALL, z)["moments"]["w_mean"].any()


def test_every_parameter_of_the_generator_has_a_gradient_at_the_start():
    cond, gen = jnp.arange(N) % 3, SMALL.clone(mixing=0.5, classes=3)
    z = latents(gen).at[:, -1].set(-9)  # all examples mix
    initial = init(SMALL.clone(classes=3), latents(SMALL), cond)

    def loss(params):
        images = gen.apply({**initial, "params": params}, z, cond, train=True)
        return (images * normal(*images.shape, key=8)).sum()

    grads = jax.jit(jax.grad(loss))(initial["params"])
    for path, grad in jax.tree_util.tree_leaves_with_path(grads):
        assert np.abs(grad).max() > 1e-4, jax.tree_util.keystr(path)


# The discriminator


def test_residual_block_keeps_the_scale():
    """The next layer receives (convolutions + shortcut) / sqrt(2); with "orig", the former."""
    disc, x = CONDITIONAL.clone(classes=0, minibatch_std=0), normal(N, 8, 8, 3)
    params = init(disc, x)["params"]
    options = {"capture_intermediates": True, "mutable": "intermediates"}

    @partial(jax.jit, static_argnums=0)
    def capture(network, params):
        return network.apply({"params": params}, x, train=False, **options)[1]["intermediates"]

    captured = capture(disc, params)
    outputs = {f"Conv_{i}": captured[f"Conv_{i}"]["__call__"][0] for i in (2, 3, 4)}
    y = (outputs["Conv_2"] + outputs["Conv_3"]) / np.sqrt(2)
    expected = stylegan2_layers.Conv(6).apply({"params": params["Conv_4"]}, y)
    np.testing.assert_allclose(outputs["Conv_4"], expected, atol=1e-6)
    orig = {**params, "Conv_3": params["Conv_4"]}
    del orig["Conv_4"]
    (end,) = capture(disc.clone(architecture="orig"), orig)["Conv_3"]["__call__"]
    expected = stylegan2_layers.Conv(6).apply({"params": params["Conv_4"]}, outputs["Conv_2"])
    np.testing.assert_allclose(end, expected, atol=1e-6)


# Labels


def test_labels_change_images():
    gen, cond = SMALL.clone(classes=3), jnp.arange(N) % 3
    variables, z = make_variables(gen, cond), latents(gen)
    images = run(gen, variables, jnp.broadcast_to(z[:1], z.shape), cond)
    assert np.abs(images[1:3] - images[:1]).max(axis=(1, 2, 3)).min() > 1e-3
    np.testing.assert_allclose(images[3], images[0], atol=1e-6)  # label 0 again


def test_conditional_logit_is_a_projection():
    """<features, mapped embedding> / sqrt(channels) is linear in the features."""
    disc, x, cond = CONDITIONAL, normal(N, 8, 8, 3), jnp.arange(N) % 3
    params = init(disc, x, cond)["params"]
    embedding = stylegan2.Mapping(6, 2).apply(
        {"params": params["Mapping_0"]}, None, jax.nn.one_hot(cond, 3)
    )
    features = normal(6, key=5)
    constant = {"kernel": 0 * params["Dense_1"]["kernel"], "bias": features}
    logits = run(disc, {"params": {**params, "Dense_1": constant}}, x, cond)
    np.testing.assert_allclose(logits, embedding @ features / np.sqrt(6), rtol=1e-5)


# Errors


@pytest.mark.parametrize("size", [4, 12, 28])
def test_unsupported_sizes_are_rejected(size):
    for network, shape in (
        (stylegan2.Generator(size), (1, 512)),
        (stylegan2.Discriminator(size), (1, size, size, 3)),
    ):
        with pytest.raises(ValueError, match=f"stylegan2: size .* got {size}"):
            network.init(KEY, jnp.zeros(shape), train=False)


def test_z_of_another_length_is_rejected():
    with pytest.raises(ValueError, match=r"stylegan2: z_dim .* 3216, got 512"):
        stylegan2.Generator().init(KEY, jnp.zeros((1, 512)), train=False)


# Path lengths


def test_path_length_of_the_generator():
    """The penalty has a gradient for the parameters between w and images."""
    variables, z = make_variables(SMALL), latents(SMALL)
    moments = {"moments": variables["moments"]}
    keys, zeros = jax.random.split(KEY, N), jnp.zeros((N, *SMALL.w_shape))

    def loss(params):
        def images(perturbation):
            inputs = {"params": params, **moments, "perturbations": {"w": perturbation}}
            return SMALL.apply(inputs, z, train=True)

        return path_length(images, zeros, keys, jnp.float32(0))[0]

    grads = jax.jit(jax.grad(loss))(variables["params"])
    for name in ("StyledConv_0", "StyledConv_2", "ToRGB_0", "Mapping_0"):
        assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(grads[name])) > 1e-6, name
