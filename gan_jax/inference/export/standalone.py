"""A generator out of its artefact. It needs jax, and nothing else; a copy lies in every artefact.

    python gen.jaxexport --num 16 --seed 0 --out samples.npy

    PYTHONPATH=gen.jaxexport python
    >>> import generator
    >>> made = generator.load("gen.jaxexport")
    >>> examples = made(made.noise(16, seed=0), made.labels(16))

An artefact is a zip file: manifest.json, variables.npz, a serialised jax.export function a name,
this file, and a README.md. `jax.jit`, `jax.grad` (once, by latents: the weights are fixed) and
`jax.vmap` go through the functions.
"""

import argparse
import functools
import hashlib
import io
import json
import os
import zipfile
import zlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import export
from jax.custom_batching import custom_vmap

FORMAT = 1  # of artefacts; another one needs another version of this file
# What a damaged zip file raises, beside RuntimeError.
UNREADABLE = (OSError, EOFError, zlib.error, zipfile.BadZipFile)
SAMPLE = 7  # gan_jax.keys.Purpose.SAMPLE


class Generator(NamedTuple):
    """What an artefact holds. Shapes: n examples, d numbers of z."""

    manifest: dict[str, Any]
    """What it is: `output` (shape and dtype of an example), `z` (dim, dtype and law), `classes`,
    `config`, `scores`, `versions`, ..."""
    variables: dict[str, Any]
    """The weights, nested by name, numpy arrays."""
    functions: dict[str, Any]
    """`generate` (variables, z, cond) -> examples [n, ...]. Of StyleGAN2 also `map` (variables, z,
    cond) -> w, of the first `w.latent` numbers of z, and `synthesize` (variables, w, cond)."""

    def __call__(self, z: Any, cond: Any = None) -> jax.Array:
        """Examples of noise [n, d] and labels int32 [n], or whatever else the manifest's `cond`
        says; of texts tokens uint16 [n, t], and `cond` is the temperature, by default 1."""
        if self.manifest["vocabulary"]:
            cond = np.float32(1 if cond is None else cond)
        return self.functions["generate"](self.variables, z, cond)

    def noise(self, n: int, seed: int = 0, first: int = 0) -> jax.Array:
        """z [n, d] of samples `first` to `first` + n - 1: that of `gan-jax sample`."""
        key = jax.random.key(seed, impl="threefry2x32")
        for number in (SAMPLE, 0, 0):
            key = jax.random.fold_in(key, number)
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, first + jnp.arange(n))
        dim, law = self.manifest["z"]["dim"], self.manifest["z"]["law"]
        if law == "key":
            return jax.random.key_data(keys)
        if law == "uniform":
            return jax.vmap(lambda key: jax.random.uniform(key, (dim,), jnp.float32, -1.0))(keys)
        return jax.vmap(lambda key: jax.random.normal(key, (dim,), jnp.float32))(keys)

    def labels(self, n: int, first: int = 0) -> np.ndarray | None:
        """0, 1, 2, ... over and over, int32 [n]; None for a generator without classes."""
        count = self.manifest["classes"]
        return (first + np.arange(n, dtype=np.int32)) % count if count else None


def load(path: str | os.PathLike) -> Generator:
    """The generator in an artefact. Raises ValueError, of one line, where it is none or damaged."""
    try:
        with zipfile.ZipFile(path) as file:
            manifest = json.loads(file.read("manifest.json"))
            if manifest["format"] != FORMAT:
                raise ValueError(f"its format is {manifest['format']}, this reads {FORMAT}")
            parts = {name: file.read(name) for name in manifest["sha256"]}
        for name, found in parts.items():
            if hashlib.sha256(found).hexdigest() != manifest["sha256"][name]:
                raise ValueError(f"{name} is not what was written")
        with np.load(io.BytesIO(parts.pop("variables.npz"))) as arrays:
            variables = nested(dict(arrays))
        functions = {}
        for name, found in parts.items():
            exported = export.deserialize(bytearray(found))
            function = _function(exported) if exported.has_vjp() else exported.call
            functions[name.removesuffix(".bin")] = jax.jit(function)
    except (*UNREADABLE, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{os.fspath(path)} is no artefact that can be read: {error}") from None
    return Generator(manifest, variables, functions)


def nested(flat: dict[str, Any]) -> dict[str, Any]:
    """{"a/b": x} -> {"a": {"b": x}}."""
    found: dict[str, Any] = {}
    for path, leaf in flat.items():
        *folders, name = path.split("/")
        inner = found
        for folder in folders:
            inner = inner.setdefault(folder, {})
        inner[name] = leaf
    return found


def _function(exported: export.Exported) -> Any:
    """The exported function of (variables, z, cond), which jax cannot vmap, with a rule for it: an
    axis more is examples more. So for its gradient by z."""

    def derivative(variables: Any, z: Any, cond: Any, slope: Any) -> Any:
        return jax.vjp(lambda z: exported.call(variables, z, cond), z)[1](slope)[0]

    forward, backward = _of_examples(exported.call), _of_examples(derivative)

    @jax.custom_vjp
    def function(variables: Any, z: Any, cond: Any) -> Any:
        return forward(variables, z, cond)

    def start(variables: Any, z: Any, cond: Any) -> tuple:
        return forward(variables, z, cond), (variables, z, cond)

    def end(known: tuple, slope: Any) -> tuple:
        return None, backward(*known, slope), None

    function.defvjp(start, end)
    return function


def _of_examples(function: Any) -> Any:
    """`function` of (variables, arrays [n, ...]) -> [n, ...], with vmap over any of the arrays."""
    batched = custom_vmap(function)

    @batched.def_vmap
    def rule(size: int, which: Any, variables: Any, *arrays: Any) -> tuple:
        if any(jax.tree.leaves(which[0])):
            raise NotImplementedError("vmap over the weights of an artefact")

        fold = functools.partial(_fold, size)
        samples = batched(variables, *jax.tree.map(fold, arrays, tuple(which[1:])))
        return samples.reshape(size, -1, *samples.shape[1:]), True

    return batched


def _fold(size: int, x: Any, is_batched: bool) -> Any:
    """Merges a mapped axis of `size` into the axis of examples: [size, n, ...] -> [size n, ...]."""
    x = x if is_batched else jnp.broadcast_to(x, (size, *x.shape))
    return x.reshape(-1, *x.shape[2:])


def main() -> None:
    """What `python gen.jaxexport` does: samples into a .npy file."""
    path = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(prog=f"python {path}", description="Samples of a generator.")
    parser.add_argument("--num", type=int, default=16, help="how many (default 16)")
    parser.add_argument("--seed", type=int, default=0, help="of the noise (default 0)")
    parser.add_argument("--out", default="samples.npy", help="file (default samples.npy)")
    args = parser.parse_args()
    if args.num < 1 or not 0 <= args.seed < 2**32:
        parser.error(f"--num is {args.num}, --seed {args.seed}: at least 1, and 0 to 2^32 - 1")
    try:
        made = load(path)
    except ValueError as error:
        parser.error(str(error))
    if made.manifest["cond"]:
        parser.error(f"it needs {made.manifest['cond']}: load it in Python and call it with them")
    try:
        with open(args.out, "wb") as file:
            np.save(file, made(made.noise(args.num, args.seed), made.labels(args.num)))
    except OSError as error:
        parser.error(f"--out is {args.out}: {error.strerror}")
    print(f"{args.out}: {args.num} samples of {made.manifest['name']}, seed {args.seed}")


if __name__ == "__main__":
    main()
