"""Array annotations: examples of them, and a check of a call against them."""

import inspect
import types
import typing
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import AbstractArray, jaxtyped

UNIONS = (typing.Union, types.UnionType)


def is_array(annotation):
    return inspect.isclass(annotation) and issubclass(annotation, AbstractArray)


def holds(value, annotation):
    """Whether a value has the annotated shape and dtype; annotations without arrays hold."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in UNIONS:
        return any(holds(value, arg) for arg in args)
    if origin is tuple and Ellipsis not in args:
        return len(value) == len(args) and all(map(holds, value, args))
    return not (is_array(annotation) or annotation is type(None)) or isinstance(value, annotation)


def check(title, signature, arguments, output):
    annotations = {name: p.annotation for name, p in signature.parameters.items()}
    annotations["output"] = signature.return_annotation
    with jaxtyped("context"):  # binds the names of dimensions over all arguments and the output
        for name, value in {**arguments, "output": output}.items():
            assert holds(value, annotations[name]), f"{title}: {name} must be {annotations[name]}"


def example(annotation, name, sizes):
    """A value of the annotated type; sizes are even, and distinct within a call."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if is_array(annotation):
        shape, dtypes = dimensions(annotation, sizes), annotation.dtypes
        if "prng_key" in (dtypes := dtypes if isinstance(dtypes, tuple) else ("float32",)):
            return jax.random.split(jax.random.key(0), shape)
        normal = np.random.default_rng(0).normal(size=shape).astype("float32")
        array = normal if "float32" in dtypes else np.zeros(shape, dtypes[-1])
        return array if annotation.array_type is np.ndarray else jnp.asarray(array)
    if origin in (*UNIONS, Mapping):
        array = example(args[origin is Mapping], name, sizes)
        return {"features_0": array} if origin is Mapping else array
    if origin is Callable:  # a sum over the dimensions of the input, repeated
        rest = dimensions(args[1], sizes)[1:]
        rows = (-1, *[1] * len(rest))
        return lambda x: jnp.tile(x.reshape(len(x), -1).sum(1).reshape(rows), (1, *rest))
    if annotation is int:
        return sizes.setdefault(name, 2 * len(sizes) + 2)
    raise NotImplementedError(f"{name}: {annotation}")


def dimensions(annotation, sizes):
    """Sizes of the annotated dimensions; a variadic one is a single dimension."""
    for name in (names := annotation.dim_str.split()):
        sizes.setdefault(name, int(name) if name.isdigit() else 2 * len(sizes) + 2)
    return tuple(sizes[name] for name in names)
