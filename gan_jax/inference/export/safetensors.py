"""The weights alone, as safetensors, with a model card beside them: any framework can read them."""

import json
from pathlib import Path
from typing import Any

from gan_jax.core import files
from gan_jax.core.errors import UserError
from gan_jax.inference.export import model_card, write
from gan_jax.inference.generator import TrainedGenerator


def save_safetensors(path: Path, trained: TrainedGenerator, manifest: dict[str, Any]) -> Path:
    """Writes the variables by their paths, with the config in the header, and beside the file its
    card, whose path it returns. Raises UserError without the package, and where one is not finite.
    """
    try:
        from safetensors import numpy as safetensors
    except ModuleNotFoundError:
        raise UserError("safetensors is missing: pip install 'gan-jax[safetensors]'") from None
    metadata = {"config": json.dumps(manifest["config"]), "digest": str(manifest["digest"])}
    found = safetensors.save(write.flatten_variables(trained.variables), metadata)
    beside = path.with_suffix(".md")
    with files.writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(found)
    files.write_atomically(beside, model_card.make_model_card(manifest, path.name))
    return beside
