"""What an exported generator is, in JSON."""

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


def make_manifest(workdir: Path, trained: TrainedGenerator) -> dict[str, Any]:
    """The manifest of a run's generator, but for the hashes of an artefact's parts. The config in
    it does not say where data lay."""
    config = trained.config
    shared = dataclasses.replace(config, data=without_location(config.data))
    function, z, cond = write.generator_function(trained)
    made = jax.eval_shape(function, trained.variables, z, cond)
    of_text = isinstance(config.data, TextData)
    shapes = jax.tree.map(lambda leaf: [["n", *leaf.shape[1:]], str(leaf.dtype)], cond)
    unit = "pixels in [0, 1]" if made.ndim == 4 else "as the data"
    return {
        "format": standalone.FORMAT,
        "name": config.name,
        "step": trained.step,
        "member": trained.member,
        "classes": sampling.num_classes(config),
        "z": {"dim": z.shape[1], "law": config.prior.distribution},
        "w": _w(trained),
        "cond": shapes if isinstance(cond, dict) else None,
        "output": {
            "shape": list(made.shape[1:]),
            "dtype": str(made.dtype),
            "range": "tokens" if of_text else "in [-1, 1]" if config.data.symmetric else unit,
        },
        "real": list(trained.example.real.shape[1:]),
        "sound": sounds.to_json(trained.audio_format) if trained.audio_format else None,
        "vocabulary": list(trained.vocabulary),
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(trained.variables["params"])),
        "average": not schedules.is_off(config.ema.half_life),
        "digest": digest.read_digests(workdir).get(trained.step),
        "config": json.loads(serialization.dumps(shared)),
        "scores": _scores(workdir, trained),
        "versions": folder.load_versions(workdir),
        "exported_with": {"gan_jax": gan_jax.__version__, "jax": jax.__version__},
    }


def _w(trained: TrainedGenerator) -> dict[str, Any] | None:
    """Of StyleGAN2: how many numbers of z make a w, and the mean w, by which it is truncated."""
    if not isinstance(trained.config.gen, stylegan2.Generator):
        return None
    mean = np.asarray(trained.variables["moments"]["w_mean"])
    return {"latent": trained.config.gen.latent, "mean": mean.tolist()}


def _scores(workdir: Path, trained: TrainedGenerator) -> list[dict[str, Any]]:
    """The metric cards of this step, of a population with the member's own values."""
    path = workdir / "scores.json"
    if not path.exists():
        return []
    cards = [one for one in score_card.read_cards(path) if one["step"] == trained.step]
    if trained.member is None:
        return cards
    per_member = ("values", "seeds", "standard_error")
    return [
        {
            name: [value[trained.member]] if name in per_member and value else value
            for name, value in one.items()
            if name not in ("mean", "sd")
        }
        for one in cards
    ]
