"""Array annotations of losses, metrics and networks, checked on small calls."""

import functools
import importlib
import inspect
import pkgutil

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest

from gan_jax import losses, metrics, networks
from gan_jax.networks import lstm, mlp, pacgan, relgan, sequence
from tests.helpers.annotations import check, example, is_array
from tests.helpers.small_networks import SMALL, SOUNDS, N, Z, pair

KEY = jax.random.key(0)
PUBLIC = {
    f"{module.name}.{name}": attribute
    for package in (losses, metrics, networks)
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
    for name, attribute in vars(importlib.import_module(module.name)).items()
    if not name.startswith("_") and getattr(attribute, "__module__", None) == module.name
}
CLASSES = {attribute for attribute in PUBLIC.values() if inspect.isclass(attribute)}
FUNCTIONS = [
    name
    for name, attribute in PUBLIC.items()
    if any(map(is_array, getattr(attribute, "__annotations__", {}).values()))
    and attribute not in CLASSES
]

# Functions that need related sizes, a mask that is not empty, or a flat argument list.
REJECTED = {
    "gan_jax.metrics.evaluation.audio.pitch_scores",
    "gan_jax.metrics.evaluation.stacked_mnist.scores",
    "gan_jax.metrics.features.inception_network.concatenate",
    "gan_jax.metrics.features.resize.resize",
    "gan_jax.metrics.inpainting.diversity",
    "gan_jax.metrics.inpainting.psnr",
    "gan_jax.metrics.inpainting.squared_errors",
    "gan_jax.metrics.inpainting.ssim",
    "gan_jax.metrics.pitch.pitches",
    "gan_jax.networks.conv.layers.conv",
    "gan_jax.networks.conv.strided.conv_1d",
    "gan_jax.networks.wavegan.phase_shuffle",
}


def generated_arguments(name):
    """Return arguments made from the annotations of required parameters, None if one has none."""
    parameters, sizes = inspect.signature(PUBLIC[name]).parameters.values(), {}
    required = [p for p in parameters if p.default is p.empty]
    try:
        return {p.name: example(p.annotation, p.name, sizes) for p in required}
    except (NotImplementedError, AttributeError):
        return None


CALLS = {name: arguments for name in FUNCTIONS if (arguments := generated_arguments(name))}


@pytest.mark.parametrize("name", [name for name in CALLS if name not in REJECTED])
def test_function_matches_its_annotations(name):
    output = PUBLIC[name](**CALLS[name])
    check(name, inspect.signature(PUBLIC[name]), CALLS[name], output)


def network_calls():
    """Yield a small network of every kind, with its arguments."""
    for name, (*_, sizes) in SMALL.items():
        for classes, size in zip((3, 0), sizes, strict=False):
            gen, disc = pair(name, size, classes)
            gen = gen.clone(noise=True) if name == "stylegan2" else gen
            cond, shape = jnp.arange(N) % classes if classes else None, (size, size, 2)
            x = jnp.zeros((N, *shape[name in SOUNDS :]))
            yield gen, jnp.zeros((N, getattr(gen, "z_dim", Z))), cond
            yield disc, x, cond, *([jax.random.split(KEY, N)] if disc.needs_rng else [])
    for cell in (relgan.RelationalMemory(1, 2, 3), lstm.Cell(3)):
        yield sequence.Generator(cell, length=4), jnp.zeros((N, 2), jnp.uint32)
    yield relgan.Discriminator(4, 2, filters=3, sizes=(2, 3)), jnp.zeros((N, 4, 128))
    yield pacgan.PacGAN(mlp.Discriminator((4,)), 2), jnp.zeros((N, 5))


def test_networks_match_their_annotations():
    """Submodules are checked as well. Calls are traced, not executed."""
    called = set()

    def interceptor(call, args, kwargs, context):
        output, method = call(*args, **kwargs), context.orig_method
        source = getattr(method, "func", method).__module__
        if context.method_name == "__call__" and source.startswith(networks.__name__):
            signature = inspect.signature(method)
            arguments = signature.bind(*args, **kwargs).arguments
            check(type(context.module), signature, arguments, output)
            called.add(type(context.module))
        return output

    with nn.intercept_methods(interceptor):
        for network, *arguments in network_calls():
            jax.eval_shape(functools.partial(network.init_with_output, train=True), KEY, *arguments)
    modules = {c for c in CLASSES if c.__module__.startswith(networks.__name__)}
    assert {module for module in modules if "__call__" in vars(module)} <= called
