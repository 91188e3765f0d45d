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


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_matches_its_annotations(name):
    """Arguments are generated from the annotations. Some metrics and networks reject them."""
    signature, sizes = inspect.signature(PUBLIC[name]), {}
    required = [p for p in signature.parameters.values() if p.default is p.empty]
    try:
        arguments = {p.name: example(p.annotation, p.name, sizes) for p in required}
        output = PUBLIC[name](**arguments)
    except Exception as error:
        if name.startswith(losses.__name__):
            raise
        pytest.skip(f"needs other arguments: {error}")
    check(name, signature, arguments, output)


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
