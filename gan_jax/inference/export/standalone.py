"""Loading and sampling of an exported generator.

This file needs only jax, and is copied into every exported file.

    python gen.jaxexport --num 16 --seed 0 --out samples.npy

or in Python, with `PYTHONPATH=gen.jaxexport`:

    import generator

    gen = generator.load("gen.jaxexport")
    samples = gen(gen.noise(16, seed=0), gen.labels(16))

An exported file is a zip file: manifest.json, variables.npz, one serialized jax.export function per
name, this file, and a README.md. The functions support `jax.jit`, `jax.grad` (first order, with
respect to the latents: the weights are constants) and `jax.vmap`.
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

FORMAT = 1  # version of the file format; each needs its own version of this file
# Errors of damaged zip files, besides RuntimeError.
UNREADABLE = (OSError, EOFError, zlib.error, zipfile.BadZipFile)
SAMPLE = 7  # gan_jax.core.keys.Purpose.SAMPLE


class Generator(NamedTuple):
    """An exported generator."""

    manifest: dict[str, Any]
    """Metadata: `output` (shape and dtype of an example), `z` (dim, dtype and law, which is the
    distribution), `classes`, `config`, `scores`, `versions`, ..."""
    variables: dict[str, Any]
    """Weights, nested by name, as numpy arrays."""
    functions: dict[str, Any]
    """Functions by name: `generate` (variables, z, cond) -> examples [n, ...]. StyleGAN2 also has
    `map` (variables, z, cond) -> w, which takes the first `w.latent` numbers of z, and `synthesize`
    (variables, w, cond) -> images."""

    def __call__(self, z: Any, cond: Any = None) -> jax.Array:
        """Generate examples.

        Args:
            z: Latents [n, d], from `noise`.
            cond: Class labels, int32 [n], or the inputs that `manifest["cond"]` describes. For
                texts the softmax temperature, 1 by default.

        Returns:
            Examples [n, ...]; for texts tokens, uint16 [n, t].
        """
        if self.manifest["vocabulary"]:
            cond = np.float32(1 if cond is None else cond)
        return self.functions["generate"](self.variables, z, cond)

    def noise(self, n: int, seed: int = 0, first: int = 0) -> jax.Array:
        """Sample latents, the same as `gan-jax sample`.

        Args:
            n: Number of samples.
            seed: Random seed.
            first: Index of the first sample.

        Returns:
            Latents z [n, d] of samples `first` to `first` + n - 1.
        """
        key = jax.random.key(seed, impl="threefry2x32")
        for number in (SAMPLE, 0, 0):
            key = jax.random.fold_in(key, number)
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, first + jnp.arange(n))
        dim, distribution = self.manifest["z"]["dim"], self.manifest["z"]["law"]
        if distribution == "key":
            return jax.random.key_data(keys)
        if distribution == "uniform":
            return jax.vmap(lambda key: jax.random.uniform(key, (dim,), jnp.float32, -1.0))(keys)
        return jax.vmap(lambda key: jax.random.normal(key, (dim,), jnp.float32))(keys)

    def labels(self, n: int, first: int = 0) -> np.ndarray | None:
        """Return labels 0, 1, 2, ... in turn, int32 [n]; None for unconditional generators."""
        count = self.manifest["classes"]
        return (first + np.arange(n, dtype=np.int32)) % count if count else None


def load(path: str | os.PathLike) -> Generator:
    """Load an exported file. Raises ValueError if it is damaged, or of another format."""
    try:
        with zipfile.ZipFile(path) as file:
            manifest = json.loads(file.read("manifest.json"))
            if manifest["format"] != FORMAT:
                raise ValueError(f"format must be {FORMAT}, got {manifest['format']}")
            parts = {name: file.read(name) for name in manifest["sha256"]}
        for name, content in parts.items():
            if hashlib.sha256(content).hexdigest() != manifest["sha256"][name]:
                raise ValueError(f"{name} does not match its checksum")
        with np.load(io.BytesIO(parts.pop("variables.npz"))) as arrays:
            variables = nested(dict(arrays))
        functions = {}
        for name, content in parts.items():
            exported = export.deserialize(bytearray(content))
            function = _with_vmap(exported) if exported.has_vjp() else exported.call
            functions[name.removesuffix(".bin")] = jax.jit(function)
    except (*UNREADABLE, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{os.fspath(path)} is not a readable exported file: {error}") from None
    return Generator(manifest, variables, functions)


def nested(flat: dict[str, Any]) -> dict[str, Any]:
    """Nest a dictionary of paths.

    Example:
        >>> nested({"params/bias": 0, "params/kernel": 1})
        {'params': {'bias': 0, 'kernel': 1}}
    """
    tree: dict[str, Any] = {}
    for path, leaf in flat.items():
        *folders, name = path.split("/")
        inner = tree
        for folder in folders:
            inner = inner.setdefault(folder, {})
        inner[name] = leaf
    return tree


def _with_vmap(exported: export.Exported) -> Any:
    """Add batching rules to an exported function (variables, z, cond) and to its gradient.

    jax cannot vmap exported functions. A mapped axis is merged into the axis of examples.
    """

    def gradient(variables: Any, z: Any, cond: Any, cotangent: Any) -> Any:
        return jax.vjp(lambda z: exported.call(variables, z, cond), z)[1](cotangent)[0]

    forward, backward = _with_batching_rule(exported.call), _with_batching_rule(gradient)

    @jax.custom_vjp
    def function(variables: Any, z: Any, cond: Any) -> Any:
        return forward(variables, z, cond)

    def function_fwd(variables: Any, z: Any, cond: Any) -> tuple:
        return forward(variables, z, cond), (variables, z, cond)

    def function_bwd(residuals: tuple, cotangent: Any) -> tuple:
        return None, backward(*residuals, cotangent), None

    function.defvjp(function_fwd, function_bwd)
    return function


def _with_batching_rule(function: Any) -> Any:
    """Add a vmap rule to a function (variables, *arrays [n, ...]) -> [n, ...]."""
    batched = custom_vmap(function)

    @batched.def_vmap
    def rule(size: int, is_batched: Any, variables: Any, *arrays: Any) -> tuple:
        if any(jax.tree.leaves(is_batched[0])):
            raise NotImplementedError("vmap over the weights of an exported file")

        fold = functools.partial(_fold, size)
        samples = batched(variables, *jax.tree.map(fold, arrays, tuple(is_batched[1:])))
        return samples.reshape(size, -1, *samples.shape[1:]), True

    return batched


def _fold(size: int, x: Any, is_batched: bool) -> Any:
    """Merge a mapped axis into the axis of examples: [size, n, ...] -> [size n, ...]."""
    x = x if is_batched else jnp.broadcast_to(x, (size, *x.shape))
    return x.reshape(-1, *x.shape[2:])


def main() -> None:
    """Write samples to a .npy file; the entry point of `python gen.jaxexport`."""
    path = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(prog=f"python {path}", description="Sample a generator.")
    parser.add_argument("--num", type=int, default=16, help="number of samples (default 16)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the latents (default 0)")
    parser.add_argument("--out", default="samples.npy", help="output file (default samples.npy)")
    args = parser.parse_args()
    if args.num < 1:
        parser.error(f"--num must be at least 1, got {args.num}")
    if not 0 <= args.seed < 2**32:
        parser.error(f"--seed must be from 0 to 2^32 - 1, got {args.seed}")
    try:
        generator = load(path)
    except ValueError as error:
        parser.error(str(error))
    if generator.manifest["cond"]:
        parser.error(f"it needs inputs, call it from Python: {generator.manifest['cond']}")
    noise, labels = generator.noise(args.num, args.seed), generator.labels(args.num)
    try:
        with open(args.out, "wb") as file:
            np.save(file, generator(noise, labels))
    except OSError as error:
        parser.error(f"--out cannot be written, got {args.out}: {error.strerror}")
    print(f"{args.out}: {args.num} samples of {generator.manifest['name']}, seed {args.seed}")


if __name__ == "__main__":
    main()
