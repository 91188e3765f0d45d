"""Export of a generator to one file: its manifest, weights and functions.

The functions are StableHLO from jax.export, for any batch size and for CPU, CUDA and TPU, together
with their gradients with respect to the latents. On a CPU they are lowered as in the run
(networks/conv/cpu.py).
"""

import functools
import io
import json
import zipfile
from collections.abc import Callable
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any

import flatbuffers
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict
from jax import export

from gan_jax.config import TextData
from gan_jax.core import files, keys
from gan_jax.core.errors import UserError
from gan_jax.data import masks
from gan_jax.inference import latent_space
from gan_jax.inference.export import model_card, standalone
from gan_jax.inference.generator import TrainedGenerator
from gan_jax.networks import conditions, stylegan2

PLATFORMS = ("cpu", "cuda", "tpu")
BATCH = "n"


def write_artifact(path: Path, generator: TrainedGenerator, manifest: dict[str, Any]) -> None:
    """Write the exported file of a generator.

    Args:
        path: File to write, NAME.jaxexport.
        generator: The generator.
        manifest: Its manifest, from `make_manifest`.

    Raises:
        UserError: If the generator cannot be exported, or the file cannot be written.
    """
    parts = {f"{name}.bin": blob for name, blob in exported_functions(generator).items()}
    arrays = io.BytesIO()
    np.savez(arrays, **flatten_variables(generator.variables))  # pyright: ignore[reportArgumentType]
    parts = {"variables.npz": arrays.getvalue(), **parts}
    manifest = {
        **manifest,
        "sha256": {name: sha256(blob).hexdigest() for name, blob in parts.items()},
    }
    texts = {
        "manifest.json": json.dumps(manifest, indent=1),
        "README.md": model_card.make_model_card(manifest, path.name),
        "generator.py": Path(standalone.__file__).read_text(),
        "__main__.py": "import generator\n\ngenerator.main()\n",
    }
    part = path.with_name(path.name + ".part")
    with files.writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as file:
            for name, content in {**texts, **_flatbuffers(), **parts}.items():
                file.writestr(name, content)
        part.replace(path)


def flatten_variables(variables: Any) -> dict[str, np.ndarray]:
    """Flatten nested variables to paths. Raises UserError if one is not finite.

    Example:
        >>> list(flatten_variables({"params": {"Dense_0": {"bias": np.zeros(3)}}}))
        ['params/Dense_0/bias']
    """
    flat = flatten_dict(jax.device_get(variables), sep="/")
    arrays = {name: np.asarray(leaf) for name, leaf in flat.items()}
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise UserError(f"{name} is not finite: the run has diverged")
    return arrays


def dummy_condition(generator: TrainedGenerator) -> Any:
    """Return shapes and dtypes of a single condition: None, int32 [1] or a dictionary."""
    config, example = generator.config, generator.example

    def spec(leaf: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((1, *leaf.shape[1:]), leaf.dtype)

    cond = masks.dummy_condition(config.masks, example.real, example.cond)
    if config.masks.kinds:  # jax.export cannot serialize custom pytree classes
        cond = {name: leaf for name, leaf in vars(cond).items() if leaf is not None}
    return jax.tree.map(spec, cond)


def generator_function(generator: TrainedGenerator) -> tuple[Callable, jax.Array, Any]:
    """Return the generator as a pure function, with an example of its inputs.

    Returns:
        Function (variables, z, cond) -> examples float32 [n, ...], and z and cond of one example.
        For texts (variables, z, temperature) -> tokens uint16 [n, t], z, and the temperature.
    """
    config = generator.config
    gen: Any = config.gen
    is_text = isinstance(config.data, TextData)

    def generate(variables: Any, z: jax.Array, cond: Any) -> jax.Array:
        if is_text:
            rows = gen.apply(variables, z, train=False, temperature=cond)
            return rows.argmax(-1).astype(jnp.uint16)
        cond = conditions.MaskedImage(**{"cond": None, **cond}) if config.masks.kinds else cond
        return jnp.asarray(gen.apply(variables, z, cond, train=False), jnp.float32)

    z = keys.dummy_latents(1, config.prior.dim, config.prior.distribution)
    return generate, z, jnp.ones(()) if is_text else dummy_condition(generator)


def exported_functions(generator: TrainedGenerator) -> dict[str, bytes]:
    """Return the serialized functions by name, as described in `standalone.Generator`."""
    config, variables = generator.config, generator.variables
    generate, z, cond = generator_function(generator)
    functions = {"generate": export_function(config.name, generate, variables, z, cond)}
    if isinstance(gen := config.gen, stylegan2.Generator):
        map_w = functools.partial(latent_space.map_w, gen)
        synthesize = functools.partial(latent_space.synthesize_from_w, gen)
        functions["map"] = export_function(config.name, map_w, variables, z[:, : gen.latent], cond)
        w = jnp.zeros((1, gen.w_dim))
        functions["synthesize"] = export_function(config.name, synthesize, variables, w, cond)
    return functions


def export_function(name: str, function: Callable, variables: Any, *arrays: Any) -> bytes:
    """Export a function for any number of examples.

    Args:
        name: Name for error messages.
        function: Function (variables, *arrays) -> array [n, ...].
        variables: Variables, which get no gradient.
        *arrays: Arrays [1, ...], pytrees of them, or scalars, which stay scalars.

    Returns:
        The serialized function.

    Raises:
        UserError: If the function needs a fixed number of examples.
    """
    (count,) = export.symbolic_shape(BATCH)

    def without_weight_gradient(variables: Any, *arrays: Any) -> jax.Array:
        return function(jax.lax.stop_gradient(variables), *arrays)

    def spec(leaf: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)

    def batch_spec(leaf: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((count, *leaf.shape[1:]) if leaf.shape else (), leaf.dtype)

    specs = (jax.tree.map(spec, variables), *jax.tree.map(batch_spec, arrays))
    try:
        exported = export.export(jax.jit(without_weight_gradient), platforms=PLATFORMS)(*specs)
        return bytes(exported.serialize(vjp_order=jnp.issubdtype(arrays[0].dtype, jnp.floating)))
    except (TypeError, ValueError, NotImplementedError) as error:
        if "_DimExpr" not in str(error) and "symbolic" not in str(error).lower():
            raise
        raise UserError(
            f"{name} cannot be exported: its network must not depend on the number of examples "
            f"when traced (write x.shape[0] instead of len(x)): "
            f"{str(error).splitlines()[0][:200]}"
        ) from None


def _flatbuffers() -> dict[str, str]:
    """Return the sources of Google's flatbuffers (Apache 2.0), which jax.export needs to load."""
    folder = Path(flatbuffers.__file__).parent
    sources = {f"flatbuffers/{path.name}": path.read_text() for path in sorted(folder.glob("*.py"))}
    license_text = (
        f"flatbuffers {metadata.version('flatbuffers')}, Google LLC, Apache License 2.0\n"
    )
    return {**sources, "flatbuffers/LICENSE": license_text}
