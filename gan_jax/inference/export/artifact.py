"""An artefact in the place of a run folder: its functions as a generator that commands apply."""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.config import Config, serialization
from gan_jax.core.errors import UserError
from gan_jax.data.audio import sounds
from gan_jax.data.batch import Batch
from gan_jax.inference.export import standalone
from gan_jax.inference.generator import TrainedGenerator
from gan_jax.networks import conditions


class ExportedModule:
    """An artefact's functions, called as a Flax module's are."""

    def __init__(self, found: standalone.Generator):
        manifest = found.manifest
        self.classes: int = manifest["classes"]
        self.latent: int | None = manifest["w"] and manifest["w"]["latent"]
        """Numbers of z that make a w; None of a generator without w."""
        self._tokens, self._functions = len(manifest["vocabulary"]), found.functions

    def apply(
        self,
        variables: Any,
        z: jax.Array,
        cond: Any = None,
        *,
        train: bool,  # noqa: ARG002  it is never trained
        temperature: Any = 1.0,
    ) -> jax.Array:
        """Examples [n, ...] of z [n, d]; of texts one-hot rows [n, t, vocabulary]."""
        if self._tokens:
            made = self._functions["generate"](variables, z, jnp.float32(temperature))
            return jax.nn.one_hot(made, self._tokens)
        if isinstance(cond, conditions.MaskedImage):
            cond = {name: leaf for name, leaf in vars(cond).items() if leaf is not None}
        return self._functions["generate"](variables, z, cond)

    def map_w(self, variables: Any, z: jax.Array, cond: Any) -> jax.Array:
        """w [n, d] of z [n, latent]."""
        return self._functions["map"](variables, z, cond)

    def of_w(self, variables: Any, w: jax.Array, cond: Any) -> jax.Array:
        """Pictures [n, h, w, c] of w [n, d]."""
        return self._functions["synthesize"](variables, w, cond)


def load(path: Path) -> TrainedGenerator:
    """The artefact. Raises UserError where it is none, is damaged or of another version."""
    try:
        found = standalone.load(path)
        manifest = found.manifest
        config: Config = serialization.loads(json.dumps(manifest["config"]))
        gen: Any = ExportedModule(found)
        return TrainedGenerator(
            config.replace(gen=gen),
            found.variables,
            manifest["step"],
            manifest["member"],
            Batch(np.zeros((1, *manifest["real"]), np.float32)),
            sounds.from_json(manifest["sound"]) if manifest["sound"] else None,
            tuple(manifest["vocabulary"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(str(error)) from None
