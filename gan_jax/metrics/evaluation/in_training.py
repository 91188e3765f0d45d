"""The cheap metrics of a run's data, for scores while it trains: one program scores all members.

Of the 2-D mixtures modes are counted. Of pictures the Frechet distance and the classifier score are
had, by the features of the data's own classifier, or by pixels where it has no labels. They are
those of `evaluate` in all but the number of samples, and the size of pixels of large pictures.
"""

import hashlib
import logging
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gan_jax import keys, population, schedules
from gan_jax.config import Config, Data
from gan_jax.data import sources
from gan_jax.data.sounds import Sound
from gan_jax.data.sources import Dataset
from gan_jax.errors import UserError
from gan_jax.metrics import frechet, modes
from gan_jax.metrics.evaluation import image, reference_statistics, stacked_mnist, streaming
from gan_jax.metrics.evaluation.mixtures import SAMPLES
from gan_jax.metrics.features import extractor, preprocess
from gan_jax.metrics.features.extractor import Extractor
from gan_jax.metrics.features.select import choose
from gan_jax.state import TrainState, generator_variables

PICTURES = 5000  # samples at most: as many as there are reals, up to this
# What data would count.
EVEN = np.full(stacked_mnist.CLASSES, stacked_mnist.SAMPLES // stacked_mnist.CLASSES)
COARSE = 16  # pixels a side of what pixel features see of larger pictures
log = logging.getLogger(__name__)
Scores = dict[str, np.ndarray]
Scorer = Callable[[Any, jax.Array], Scores]  # of a generator's variables and the root key


def coarse_pixels(shape: tuple[int, ...]) -> Extractor:
    """The pixels of pictures `shape` [h, w, c]; of larger ones than some 32 x 32 grey those of a
    coarse copy, for the moments of d features are d x d numbers."""
    if np.prod(shape) <= 4 * COARSE**2:
        return extractor.pixels()
    side = f"{COARSE}x{COARSE}"

    def flat(_: Any, images: jax.Array) -> jax.Array:
        size = (len(images), COARSE, COARSE, images.shape[-1])
        small = jax.image.resize(images.astype(jnp.float32) / 255, size, "linear")
        return small.reshape(len(images), -1)

    digest = hashlib.sha256(f"pixels / 255, linear to {side}".encode()).hexdigest()
    return Extractor(f"pixels-{side}", digest, f"linear, {side}", flat, batch=512)


def features_of(data: Data, shape: tuple[int, ...], dataset: Dataset | None = None) -> Extractor:
    """The classifier of the data's own labels, trained now if it is not in the cache; pixels where
    there are no labels, or the log says why not."""
    try:
        found = choose(None, data, dataset=dataset)
    except UserError as error:
        log.warning("scored by pixels: no classifier of %s: %s", data.name, error)
        return coarse_pixels(shape)
    if not isinstance(found, Extractor) or found.name == "pixels":
        return coarse_pixels(shape)
    return found


def _members(tree: Any, config: Config) -> Any:
    """With an axis of members, of a run that is no population too."""
    return tree if population.is_population(config) else jax.tree.map(lambda leaf: leaf[None], tree)


def _scorer_of_points(config: Config) -> tuple[dict[str, Any], Scorer]:
    make_centres, sigma = sources.MIXTURES[config.data.name]
    centres = make_centres()

    @jax.jit
    def program(variables: Any, roots: jax.Array) -> tuple[streaming.ModeCounts, jax.Array]:
        def one(variables: Any, root: jax.Array) -> tuple[streaming.ModeCounts, jax.Array]:
            made = streaming.points(config, variables, root, SAMPLES)
            return streaming.count_modes(made, centres, sigma), made

        return jax.vmap(one)(*_members((variables, roots), config))

    def counted(counts: streaming.ModeCounts, points: jax.Array) -> modes.Modes | None:
        if counts.certain:
            nearest, good = np.asarray(counts.nearest), np.asarray(counts.good)
            share = float(good.sum() / SAMPLES)
            return modes.Modes(int((good > 0).sum()), share, modes.kl_to_uniform(nearest))
        made = np.asarray(points)  # a sample lies on a border, as float32 can tell
        return modes.modes(made, centres, sigma) if np.isfinite(made).all() else None

    def score(variables: Any, roots: jax.Array) -> Scores:
        counts, points = program(variables, roots)
        counts = jax.device_get(counts)
        each = [
            counted(streaming.ModeCounts(*(part[i] for part in counts)), points[i])
            for i in range(len(points))
        ]
        lost = (np.nan,) * len(modes.Modes._fields)
        rows = np.array([lost if one is None else one for one in each], np.float64)
        return dict(zip(modes.Modes._fields, rows.T, strict=True))

    count = len(centres)
    expected = (count, modes.HIGH_QUALITY, modes.kl_floor(count, SAMPLES))
    return {
        "metrics": list(modes.Modes._fields),
        "features": "points",
        "real": config.data.name,
        "n_real": 0,
        "n_fake": SAMPLES,
        "expected": dict(zip(modes.Modes._fields, expected, strict=True)),
    }, score


def _scorer_of_pictures(
    config: Config,
    dataset: Dataset,
    device: jax.Device,
    features: Extractor,
    sound: Sound | None,
    *,
    quiet: bool,
) -> tuple[dict[str, Any], Scorer]:
    n = min(len(dataset), PICTURES)
    real = reference_statistics.of_reals(features, dataset, [device], quiet=quiet).moments
    frechet.covariance(real)  # a single picture is refused now, not in the middle of the run
    shift = real.mean.astype(np.float32)
    constants = jax.device_put((features.variables, features.head, shift), device)

    def made(variables: Any, root: jax.Array, index: jax.Array) -> jax.Array:
        found = streaming.generate(config, variables, root, index)
        return found if sound is None else preprocess.finite_unit(found, sound)

    @jax.jit
    def program(constants: Any, variables: Any, roots: jax.Array) -> streaming.FeatureSums:
        of_features, head, shift = constants

        def one(member: tuple[Any, jax.Array]) -> streaming.FeatureSums:
            variables, root = member
            return streaming.sum_features(
                lambda index: made(variables, root, index),
                lambda images: features.function(of_features, images),
                head,
                shift,
                n,
                symmetric=config.data.symmetric and sound is None,
            )

        # One after another: a batch of one member's pictures fills a device.
        return lax.map(one, _members((variables, roots), config))

    def summed(sums: streaming.FeatureSums) -> dict[str, float]:
        mean = np.asarray(sums.total, np.float64) / n
        scatter = np.asarray(sums.outer, np.float64) - n * np.outer(mean, mean)
        fake = frechet.Moments(n, shift.astype(np.float64) + mean, scatter)
        found = {"frechet": frechet.frechet_distance(real, fake)}
        if features.head is not None:
            found |= {name: one.value for name, one in image.score_logits(sums.logits).items()}
        return found

    names = ["frechet", *(["classifier_score"] if features.head is not None else [])]

    def score(variables: Any, roots: jax.Array) -> Scores:
        sums = jax.device_get(program(constants, variables, roots))
        each = [streaming.FeatureSums(*parts) for parts in zip(*sums, strict=True)]
        found = [summed(one) if one.finite else dict.fromkeys(names, np.nan) for one in each]
        return {name: np.array([one[name] for one in found]) for name in names}

    return {
        "metrics": names,
        "features": features.name,
        "features_note": features.note,
        "features_sha256": features.sha256,
        "resize": features.resize,
        "real": sources.title(config.data),
        "n_real": real.count,
        "n_fake": n,
    }, score


def _scorer_of_stacked(config: Config) -> tuple[dict[str, Any], Scorer]:
    classifier = choose("classifier", config.data)
    assert isinstance(classifier, Extractor)
    count = stacked_mnist.make_counter(config, classifier, stacked_mnist.SAMPLES)

    def one(variables: Any, root: jax.Array) -> list[float]:
        counts, finite = count(variables, keys.step_key(root, keys.Purpose.SAMPLE, 0))
        found = stacked_mnist.scores(counts)
        return [found[name].value if finite else np.nan for name in stacked_mnist.METRICS]

    def score(variables: Any, roots: jax.Array) -> Scores:
        everyone = _members((variables, roots), config)
        members = range(len(population.members(config)))
        each = [one(*jax.tree.map(lambda leaf, i=i: leaf[i], everyone)) for i in members]
        return dict(zip(stacked_mnist.METRICS, np.array(each, np.float64).T, strict=True))

    return {
        "metrics": list(stacked_mnist.METRICS),
        "features": classifier.name,
        "features_note": classifier.note,
        "features_sha256": classifier.sha256,
        "resize": classifier.resize,
        "real": sources.title(config.data),
        "n_real": 0,
        "n_fake": stacked_mnist.SAMPLES,
        "expected": {name: s.expected for name, s in stacked_mnist.scores(EVEN).items()},
    }, score


def make_scorer(
    config: Config,
    dataset: Dataset,
    device: jax.Device,
    features: Extractor | None = None,
    *,
    quiet: bool = False,
) -> tuple[dict[str, Any], Callable[[TrainState], Scores]]:
    """The protocol, and score(state) -> metrics by name, float64 [members], NaN of a member that
    has diverged. The noise of the samples is each member's own, and the same at every step.

    `features` of pictures are by default those of `features_of`. The state may be on any devices;
    it is scored on `device`, and not consumed. Raises UserError if there is no metric of the data.
    """
    fingerprint, sound, loaded = dataset.fingerprint, dataset.sound, dataset
    dataset = preprocess.seen(dataset, config.data)
    shape = dataset.batch.real.shape[1:]
    if config.data.name in sources.MIXTURES:
        protocol, score = _scorer_of_points(config)
    elif config.data.name == stacked_mnist.NAME:
        protocol, score = _scorer_of_stacked(config)
    elif len(shape) == 3:
        chosen = features_of(config.data, shape, loaded) if features is None else features
        protocol, score = _scorer_of_pictures(config, dataset, device, chosen, sound, quiet=quiet)
    else:
        raise UserError(
            f"score_every is {config.score_every}: there is no metric for data "
            f"{config.data.name!r} of shape {list(shape)}, only 0 is allowed"
        )
    protocol |= {
        "real_sha256": fingerprint,
        "seeds": [one.seed for one in population.members(config)],
        "sample_seed": None,
        "weights": "raw" if schedules.is_off(config.ema_half_life) else "ema",
    }
    return protocol, lambda state: score(
        *jax.device_put((generator_variables(state), state.key), device)
    )
