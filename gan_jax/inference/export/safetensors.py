"""Export of the weights as safetensors, which any framework can read, with a model card."""

import json
from pathlib import Path
from typing import Any

from gan_jax.core import files
from gan_jax.core.errors import UserError
from gan_jax.inference.export import model_card, write
from gan_jax.inference.generator import TrainedGenerator


def save_safetensors(path: Path, generator: TrainedGenerator, manifest: dict[str, Any]) -> Path:
    """Write the variables of a generator, with its config in the header, and a model card.

    Args:
        path: File to write, NAME.safetensors.
        generator: The generator.
        manifest: Its manifest, from `make_manifest`.

    Returns:
        Path of the model card, NAME.md.

    Raises:
        UserError: If the package safetensors is missing, a variable is not finite, or a file cannot
            be written.
    """
    try:
        from safetensors import numpy as safetensors
    except ModuleNotFoundError:
        raise UserError("safetensors is missing: pip install 'gan-jax[safetensors]'") from None
    metadata = {"config": json.dumps(manifest["config"]), "digest": str(manifest["digest"])}
    content = safetensors.save(write.flatten_variables(generator.variables), metadata)
    card = path.with_suffix(".md")
    with files.writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    files.write_atomically(card, model_card.make_model_card(manifest, path.name))
    return card
