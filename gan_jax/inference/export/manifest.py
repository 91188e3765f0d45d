"""Manifest of an exported generator: its metadata, as JSON."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np

import gan_jax
from gan_jax.config import TextData, schedules, serialization
from gan_jax.config.schema import without_location
from gan_jax.data.audio import sounds
from gan_jax.inference import sampling
from gan_jax.inference.export import standalone, write
from gan_jax.inference.generator import TrainedGenerator
from gan_jax.networks import stylegan2
from gan_jax.runs import digest, folder, score_card


def make_manifest(workdir: Path, generator: TrainedGenerator) -> dict[str, Any]:
    """Describe a run's generator. Hashes of the parts of a file are added when it is written.

    The config in it has no paths to the data.
    """
    config = generator.config
    portable = dataclasses.replace(config, data=without_location(config.data))
    function, z, cond = write.generator_function(generator)
    output = jax.eval_shape(function, generator.variables, z, cond)
    is_text = isinstance(config.data, TextData)
    shapes = jax.tree.map(lambda leaf: [["n", *leaf.shape[1:]], str(leaf.dtype)], cond)
    unit = "pixels in [0, 1]" if output.ndim == 4 else "as the data"
    return {
        "format": standalone.FORMAT,
        "name": config.name,
        "step": generator.step,
        "member": generator.member,
        "classes": sampling.num_classes(config),
        "z": {"dim": z.shape[1], "law": config.prior.distribution},
        "w": _w(generator),
        "cond": shapes if isinstance(cond, dict) else None,
        "output": {
            "shape": list(output.shape[1:]),
            "dtype": str(output.dtype),
            "range": "tokens" if is_text else "in [-1, 1]" if config.data.symmetric else unit,
        },
        "real": list(generator.example.real.shape[1:]),
        "sound": sounds.to_json(generator.audio_format) if generator.audio_format else None,
        "vocabulary": list(generator.vocabulary),
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(generator.variables["params"])),
        "average": not schedules.is_off(config.ema.half_life),
        "digest": digest.read_digests(workdir).get(generator.step),
        "config": json.loads(serialization.dumps(portable)),
        "scores": _scores(workdir, generator),
        "versions": folder.load_versions(workdir),
        "exported_with": {"gan_jax": gan_jax.__version__, "jax": jax.__version__},
    }


def _w(generator: TrainedGenerator) -> dict[str, Any] | None:
    """Return the input size of StyleGAN2's mapping network, and the mean w."""
    if not isinstance(generator.config.gen, stylegan2.Generator):
        return None
    mean = np.asarray(generator.variables["moments"]["w_mean"])
    return {"latent": generator.config.gen.latent, "mean": mean.tolist()}


def _scores(workdir: Path, generator: TrainedGenerator) -> list[dict[str, Any]]:
    """Return the metric cards of this step; for a population only the member's values."""
    path = workdir / "scores.json"
    if not path.exists():
        return []
    cards = [card for card in score_card.read_cards(path) if card["step"] == generator.step]
    if generator.member is None:
        return cards
    per_member = ("values", "seeds", "standard_error")
    return [
        {
            name: [value[generator.member]] if name in per_member and value else value
            for name, value in card.items()
            if name not in ("mean", "sd")
        }
        for card in cards
    ]
