"""Loading of exported files, in place of run folders."""

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
    """Exported functions with the interface of a Flax module."""

    def __init__(self, exported: standalone.Generator):
        """Wrap the functions of an exported file."""
        manifest = exported.manifest
        self.classes: int = manifest["classes"]
        self.latent: int | None = manifest["w"] and manifest["w"]["latent"]
        """Number of leading numbers of z that determine w; None without W."""
        self._tokens, self._functions = len(manifest["vocabulary"]), exported.functions

    def apply(
        self,
        variables: Any,
        z: jax.Array,
        cond: Any = None,
        *,
        train: bool,  # noqa: ARG002  the function is in evaluation mode
        temperature: Any = 1.0,
    ) -> jax.Array:
        """Generate examples.

        Args:
            variables: Variables of the generator.
            z: Latents [n, d].
            cond: Inputs to condition on, leaves [n, ...].
            train: Unused; exported functions are in evaluation mode.
            temperature: Softmax temperature (texts only).

        Returns:
            Examples [n, ...]; for texts one-hot rows [n, t, vocabulary].
        """
        if self._tokens:
            tokens = self._functions["generate"](variables, z, jnp.float32(temperature))
            return jax.nn.one_hot(tokens, self._tokens)
        if isinstance(cond, conditions.MaskedImage):
            cond = {name: leaf for name, leaf in vars(cond).items() if leaf is not None}
        return self._functions["generate"](variables, z, cond)

    def map_w(self, variables: Any, z: jax.Array, cond: Any) -> jax.Array:
        """Apply the mapping network.

        Args:
            variables: Variables of the generator.
            z: Latents [n, latent].
            cond: Class labels [n], or None.

        Returns:
            w [n, d].
        """
        return self._functions["map"](variables, z, cond)

    def synthesize_from_w(self, variables: Any, w: jax.Array, cond: Any) -> jax.Array:
        """Apply the synthesis network.

        Args:
            variables: Variables of the generator.
            w: Latents [n, d].
            cond: Class labels [n], or None.

        Returns:
            Images [n, h, w, c].
        """
        return self._functions["synthesize"](variables, w, cond)


def load(path: Path) -> TrainedGenerator:
    """Load an exported file. Raises UserError if it is damaged, or of another version."""
    try:
        exported = standalone.load(path)
        manifest = exported.manifest
        config: Config = serialization.loads(json.dumps(manifest["config"]))
        gen: Any = ExportedModule(exported)
        return TrainedGenerator(
            config.replace(gen=gen),
            exported.variables,
            manifest["step"],
            manifest["member"],
            Batch(np.zeros((1, *manifest["real"]), np.float32)),
            sounds.from_json(manifest["sound"]) if manifest["sound"] else None,
            tuple(manifest["vocabulary"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(str(error)) from None
