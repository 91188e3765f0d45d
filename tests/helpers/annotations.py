"""Array annotations: example values, and checks of calls."""

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
    """Return whether the annotation is a jaxtyping array."""
    return inspect.isclass(annotation) and issubclass(annotation, AbstractArray)


def matches(value, annotation):
    """Return whether a value has the annotated shape and dtype, if the annotation has one."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in UNIONS:
        return any(matches(value, arg) for arg in args)
    if origin is tuple and Ellipsis not in args:
        return len(value) == len(args) and all(map(matches, value, args))
    return not (is_array(annotation) or annotation is type(None)) or isinstance(value, annotation)


def check(title, signature, arguments, output):
    """Assert that arguments and output match the annotations of the signature."""
    annotations = {name: p.annotation for name, p in signature.parameters.items()}
    annotations["output"] = signature.return_annotation
    with jaxtyped("context"):  # dimension names are shared by all arguments and the output
        for name, value in {**arguments, "output": output}.items():
            assert matches(value, annotations[name]), f"{title}: {name} must be {annotations[name]}"


def example(annotation, name, sizes):
    """Return a value of the annotated type; sizes are even, and distinct within a call."""
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
    if origin is Callable:  # sums over the dimensions of the input, and repeats the sum
        trailing = dimensions(args[1], sizes)[1:]
        column = (-1, *[1] * len(trailing))
        return lambda x: jnp.tile(x.reshape(len(x), -1).sum(1).reshape(column), (1, *trailing))
    if annotation is int:
        return sizes.setdefault(name, 2 * len(sizes) + 2)
    raise NotImplementedError(f"{name}: {annotation}")


def dimensions(annotation, sizes):
    """Return the sizes of the annotated dimensions; a variadic one counts as one dimension."""
    for name in (names := annotation.dim_str.split()):
        sizes.setdefault(name, int(name) if name.isdigit() else 2 * len(sizes) + 2)
    return tuple(sizes[name] for name in names)
