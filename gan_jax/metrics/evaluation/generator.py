"""Scores that ask more of a generator than unlabelled samples: what a classifier learns from its
labelled ones, and how smoothly its pictures change with z."""

import hashlib
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from gan_jax import editing, keys, sampling
from gan_jax.config import Config, Data
from gan_jax.data import sources
from gan_jax.data.sources import Dataset
from gan_jax.errors import UserError
from gan_jax.metrics import path_length
from gan_jax.metrics.accuracy import accuracy
from gan_jax.metrics.evaluation.image import Score
from gan_jax.metrics.features import classifier, preprocess
from gan_jax.metrics.features.extractor import Extractor, Features


def labelled_test(config: Config, data: Data) -> Dataset:
    """The real pictures and labels that examine a classifier: the split `test` of `data`, which is
    the run's data where it now lies.

    Raises UserError if the generator is not conditioned on classes, or there is no such split.
    """
    if not sampling.classes(config):
        raise UserError(f"classification accuracy: {config.name} is not conditioned on classes")
    if data.name in classifier.UNSPLIT:
        raise UserError(f"classification accuracy: data set {data.name!r} has no split test")
    of = sources.whole(data, "test")
    return preprocess.seen(sources.load(of), of)


def classification_accuracy(
    config: Config,
    images: np.ndarray,
    test: Dataset,
    features: Features,
    devices: Sequence[jax.Device] | None = None,
    *,
    quiet: bool = False,
) -> Score:
    """Classification accuracy score: the accuracy on `test` of the data set's classifier, trained
    on samples uint8 [n, h, w, c] that have the labels of `sampling.cycled_labels`.

    Ravuri and Vinyals 2019 (1905.10887). Expected is the accuracy of the same classifier when it is
    trained on reals, where the features are its.
    """
    name, labels = config.data.name, sampling.cycled_labels(config, len(images))
    if labels is None or len(images) < sampling.classes(config):
        raise UserError(f"classification accuracy: {len(images)} samples, fewer than classes")
    made = classifier.train_on(name, images, labels, quiet=quiet)
    predicted = made.logits(made(test.batch.real, devices)).argmax(1)
    found = accuracy(predicted, test.batch.cond, sampling.classes(config)).top_1
    note, expected = getattr(features, "note", ""), None
    if features.name == made.name and note.startswith("test accuracy "):
        expected = float(note.rpartition(" ")[2])
    error = (found * (1 - found) / len(test)) ** 0.5
    return Score(found, len(test), len(images), expected, error)


def mean_path_length(
    config: Config,
    variables: Any,
    features: Extractor,
    seed: int | None,
    paths: int,
    devices: Sequence[jax.Device] | None = None,
    *,
    quiet: bool = False,
) -> Score:
    """Perceptual path length in Z, of the generator with `variables`: Karras et al. 2019
    (1812.04948), eq. 2, with the squared distance of `features` instead of VGG's.

    Normal z move along great circles, uniform ones on straight lines, which do not leave their
    cube; labels are drawn, one a path. Pictures are not rounded to 256 levels, as a step moves them
    by less than one. The paths' noise is of `seed`, or the run's own. Deviation: of StyleGAN2 all
    of z moves, the noise pictures in it too, which the paper holds.
    """
    root = keys.root(config.seed if seed is None else seed)
    count = sampling.classes(config)

    def generate(variables: Any, z: jax.Array, own: jax.Array) -> jax.Array:
        label = jax.vmap(lambda key: jax.random.randint(key, (), 0, count))(own) if count else None
        x = jnp.asarray(config.gen.apply(variables, z, label, train=False), jnp.float32)
        return 255 * jnp.clip((x + 1) / 2 if config.data.symmetric else x, 0, 1)

    def distance(variables: Any, here: jax.Array, there: jax.Array) -> jax.Array:
        step = features.function(variables, there) - features.function(variables, here)
        return jnp.square(step.reshape(len(step), -1)).sum(1)

    lengths = path_length.path_lengths(
        Partial(generate, variables),
        Partial(distance, features.variables),
        lambda own: keys.latents(own, config.z_dim, config.latent),
        editing.slerp if config.latent == "normal" else editing.lerp,
        keys.step_key(root, keys.Purpose.SAMPLE, 1),  # 0 has the samples
        paths,
        devices=devices,
        quiet=quiet,
    )
    kept = path_length.trimmed(lengths)
    return Score(float(kept.mean()), 0, paths, None, float(kept.std() / len(kept) ** 0.5))


def extractor_of(features: Features | None) -> Extractor:
    """Features that path lengths can be measured with, of pictures between the 256 levels. Raises
    UserError for others."""
    if not isinstance(features, Extractor):
        given = features.name if features else "none"
        raise UserError(
            f"path length: features {given}, allowed are classifier, inception and pixels, of "
            "runs on pictures"
        )
    return features


def protocols(
    config: Config, features: Features | None, test: Dataset | None
) -> dict[str, dict[str, Any]]:
    """What the cards of these metrics say otherwise than the cards of the same run's others."""
    name, found = config.data.name, {}
    if test is not None:
        recipe = f"{classifier.VERSION} {classifier.recipe_of(name)} 0"
        found["classification_accuracy"] = {
            "features": f"{name}-classifier of samples",
            "features_note": f"of a run on split {config.data.split}",
            "features_sha256": hashlib.sha256(recipe.encode()).hexdigest(),
            "resize": classifier.resize_of(config.data),
            "real": f"{name} test",
            "real_sha256": test.fingerprint,
        }
    law = "slerp" if config.latent == "normal" else "lerp"
    note = f"{law} in Z, epsilon {path_length.EPSILON}, percentiles 1 to 99"
    of = getattr(features, "note", "")
    found["path_length"] = {"features_note": f"{note}; {of}" if of else note}
    return found
