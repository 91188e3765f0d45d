"""The artefact of a generator: a manifest, its weights and its functions, in one file.

The functions are StableHLO by jax.export, for any batch and for CPU, CUDA and TPU; their gradients
by latents lie beside them. On a CPU they compute as the run does (networks/conv_lowering.py).
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


def write_artifact(path: Path, trained: TrainedGenerator, manifest: dict[str, Any]) -> None:
    """Writes the artefact. Raises UserError where the generator cannot be exported, saying why."""
    parts = {f"{name}.bin": blob for name, blob in exported_functions(trained).items()}
    arrays = io.BytesIO()
    np.savez(arrays, **flatten_variables(trained.variables))  # pyright: ignore[reportArgumentType]
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
    """Nested variables by path: {"params/Dense_0/kernel": ...}. Raises UserError where one is not
    finite."""
    found = flatten_dict(jax.device_get(variables), sep="/")
    arrays = {name: np.asarray(leaf) for name, leaf in found.items()}
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise UserError(f"{name} is not finite: the run has diverged")
    return arrays


def dummy_condition(trained: TrainedGenerator) -> Any:
    """Shapes and dtypes of what the generator is conditioned on, of one example: None, int32 [1],
    or a dictionary."""
    config, example = trained.config, trained.example

    def one(leaf: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((1, *leaf.shape[1:]), leaf.dtype)

    found = masks.dummy_condition(config.masks, example.real, example.cond)
    if config.masks.kinds:  # as a dictionary: jax.export knows no others' classes
        found = {name: leaf for name, leaf in vars(found).items() if leaf is not None}
    return jax.tree.map(one, found)


def generator_function(trained: TrainedGenerator) -> tuple[Callable, jax.Array, Any]:
    """The generator as a function (variables, z, cond) -> examples float32, and a z and a cond of
    one example. Of texts (variables, z, temperature) -> tokens uint16 [n, t]."""
    config = trained.config
    gen: Any = config.gen
    of_text = isinstance(config.data, TextData)

    def generate(variables: Any, z: jax.Array, cond: Any) -> jax.Array:
        if of_text:
            rows = gen.apply(variables, z, train=False, temperature=cond)
            return rows.argmax(-1).astype(jnp.uint16)
        cond = conditions.MaskedImage(**{"cond": None, **cond}) if config.masks.kinds else cond
        return jnp.asarray(gen.apply(variables, z, cond, train=False), jnp.float32)

    z = keys.dummy_latents(1, config.prior.dim, config.prior.distribution)
    return generate, z, jnp.ones(()) if of_text else dummy_condition(trained)


def exported_functions(trained: TrainedGenerator) -> dict[str, bytes]:
    """The serialised functions by name: see `generator.Generator`."""
    config, variables = trained.config, trained.variables
    generate, z, cond = generator_function(trained)
    made = {"generate": export_function(config.name, generate, variables, z, cond)}
    if isinstance(gen := config.gen, stylegan2.Generator):
        of_z = functools.partial(latent_space.map_w, gen)
        of_w = functools.partial(latent_space.synthesize_from_w, gen)
        made["map"] = export_function(config.name, of_z, variables, z[:, : gen.latent], cond)
        w = jnp.zeros((1, gen.w_dim))
        made["synthesize"] = export_function(config.name, of_w, variables, w, cond)
    return made


def export_function(name: str, function: Callable, variables: Any, *arrays: Any) -> bytes:
    """The function of variables, which have no gradient, and of arrays [1, ...], for any number of
    examples; numbers are numbers."""
    (count,) = export.symbolic_shape(BATCH)

    def fixed(variables: Any, *arrays: Any) -> jax.Array:
        return function(jax.lax.stop_gradient(variables), *arrays)

    def spec(leaf: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)

    def any_number(leaf: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((count, *leaf.shape[1:]) if leaf.shape else (), leaf.dtype)

    specs = (jax.tree.map(spec, variables), *jax.tree.map(any_number, arrays))
    try:
        made = export.export(jax.jit(fixed), platforms=PLATFORMS)(*specs)
        return bytes(made.serialize(vjp_order=jnp.issubdtype(arrays[0].dtype, jnp.floating)))
    except (TypeError, ValueError, NotImplementedError) as error:
        if "_DimExpr" not in str(error) and "symbolic" not in str(error).lower():
            raise
        raise UserError(
            f"{name} cannot be exported: its network needs the number of examples while it is "
            f"traced (write x.shape[0], not len(x), and compute with no other size of a batch): "
            f"{str(error).splitlines()[0][:200]}"
        ) from None


def _flatbuffers() -> dict[str, str]:
    """Google's flatbuffers (Apache 2.0), which jax.export reads with and jax does not bring."""
    folder = Path(flatbuffers.__file__).parent
    found = {f"flatbuffers/{path.name}": path.read_text() for path in sorted(folder.glob("*.py"))}
    licence = f"flatbuffers {metadata.version('flatbuffers')}, Google LLC, Apache License 2.0\n"
    return {**found, "flatbuffers/LICENSE": licence}
