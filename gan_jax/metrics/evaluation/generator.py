"""Evaluation of generators by classification accuracy score and perceptual path length."""

import hashlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import UInt8

from gan_jax.config import Config, Data
from gan_jax.core import keys
from gan_jax.core.errors import UserError
from gan_jax.data import sources
from gan_jax.data.sources import Dataset
from gan_jax.inference import interpolation as inference_interpolation
from gan_jax.inference import sampling
from gan_jax.metrics import path_length
from gan_jax.metrics.accuracy import accuracy
from gan_jax.metrics.evaluation.evaluator import Evaluation, EvaluationProtocol, Score, Scores
from gan_jax.metrics.evaluation.members import Member
from gan_jax.metrics.features import classifier, preprocess
from gan_jax.metrics.features.extractor import Extractor, Features


def load_labeled_test(config: Config, data: Data) -> Dataset:
    """Load the split `test` of `data`: labeled real images to test a classifier on.

    Raises UserError if the generator is not conditioned on classes, or there is no such split.
    """
    if not sampling.num_classes(config):
        raise UserError(
            f"classification accuracy needs a conditional generator: {config.name} is not "
            "conditioned on classes"
        )
    if data.name in classifier.UNSPLIT:
        raise UserError(
            f"classification accuracy needs a split test: data set {data.name!r} has none"
        )
    split = sources.labeled_split(data, "test")
    return preprocess.preprocess_dataset(sources.load(split), split)


class ClassificationAccuracy:
    """Classification accuracy score: accuracy on real images of a classifier trained on samples.

    Ravuri and Vinyals 2019 (1905.10887). If the features are those of the classifier of the data
    set, the expectation is its accuracy, since it was trained on real images.
    """

    def __init__(
        self, config: Config, test: Dataset, features: Features, n: int, *, quiet: bool = False
    ):
        """Make the evaluator.

        Args:
            config: Config of the run.
            test: Labeled real images, from `load_labeled_test`.
            features: Features of the evaluation.
            n: Number of samples to train the classifier on.
            quiet: Whether to hide the progress bar.
        """
        self._quiet = quiet
        name = config.data.name
        recipe = f"{classifier.VERSION} {classifier.classifier_recipe(name)} 0"
        self._test, self._expected = test, None
        if isinstance(features, Extractor) and features.name == f"{name}-classifier":
            self._expected = features.test_accuracy
        self.protocol = EvaluationProtocol(
            features=f"{name}-classifier of samples",
            features_note=f"of a run on split {config.data.split}",
            features_sha256=hashlib.sha256(recipe.encode()).hexdigest(),
            resize=classifier.describe_resize(config.data),
            real=f"{name} test",
            real_sha256=test.fingerprint,
            n_real=len(test),
            n_fake=n,
        )

    def __call__(self, member: Member) -> Scores:
        """Score a member."""
        images = np.concatenate([*member.images(self.protocol.n_fake)])
        return {"classification_accuracy": self.score(member, images)}

    def score(self, member: Member, images: UInt8[np.ndarray, "n h w c"]) -> Score:
        """Score images of a member that have the labels of `sampling.cycled_labels`."""
        config, test = member.config, self._test
        classes, labels = sampling.num_classes(config), sampling.cycled_labels(config, len(images))
        if labels is None or len(images) < classes:
            raise UserError(
                "samples for classification accuracy must be at least as many as classes, "
                f"got {len(images)}"
            )
        trained = classifier.train_classifier(config.data.name, images, labels, quiet=self._quiet)
        predicted = trained.logits(trained(test.batch.real, member.devices)).argmax(1)
        top_1 = accuracy(predicted, test.batch.cond, classes).top_1
        error = (top_1 * (1 - top_1) / len(test)) ** 0.5
        return Score(top_1, len(test), len(images), self._expected, error)


class PerceptualPathLength:
    """Perceptual path length in Z: Karras et al. 2019 (1812.04948), eq. 2.

    The distance is the squared distance of the features, instead of that of VGG. Normal z move
    along great circles, and uniform z along straight lines, which stay in the cube. Each path has a
    random label. Images are not rounded to 256 levels, since a step changes them by less than one
    level. Deviation: in StyleGAN2 all of z moves, including the noise images, which the paper holds
    fixed.
    """

    def __init__(
        self,
        config: Config,
        features: Extractor,
        paths: int,
        fingerprint: str = "",
        *,
        quiet: bool = False,
    ):
        """Make the evaluator.

        Args:
            config: Config of the run.
            features: Features of the distance.
            paths: Number of paths.
            fingerprint: Fingerprint of the data of the run.
            quiet: Whether to hide the progress bar.
        """
        self._quiet = quiet
        interpolation = "slerp" if config.prior.distribution == "normal" else "lerp"
        note = f"{interpolation} in Z, epsilon {path_length.EPSILON}, percentiles 1 to 99"
        self._features = features
        self.protocol = EvaluationProtocol(
            features=features.name,
            features_note=f"{note}; {features.note}" if features.note else note,
            features_sha256=features.sha256,
            resize=features.resize,
            real=sources.describe(config.data),
            real_sha256=fingerprint,
            n_real=0,
            n_fake=paths,
        )

    def __call__(self, member: Member) -> Scores:
        """Score a member."""
        config, root = member.config, keys.root_key(member.seed)
        lengths = path_length.path_lengths(
            Partial(_generate_function(config), member.variables),
            Partial(_distance_function(self._features), self._features.variables),
            lambda path_keys: keys.latents(path_keys, config.prior.dim, config.prior.distribution),
            inference_interpolation.slerp
            if config.prior.distribution == "normal"
            else inference_interpolation.lerp,
            keys.step_key(root, keys.Purpose.SAMPLE, 1),  # step 0 is for samples
            self.protocol.n_fake,
            devices=member.devices,
            quiet=self._quiet,
        )
        trimmed = path_length.trim_percentiles(lengths)
        error = float(trimmed.std() / len(trimmed) ** 0.5)
        return {"path_length": Score(float(trimmed.mean()), 0, self.protocol.n_fake, None, error)}


def _generate_function(config: Config) -> Any:
    count = sampling.num_classes(config)

    def generate(variables: Any, z: jax.Array, path_keys: jax.Array) -> jax.Array:
        label = None
        if count:
            label = jax.vmap(lambda key: jax.random.randint(key, (), 0, count))(path_keys)
        x = jnp.asarray(config.gen.apply(variables, z, label, train=False), jnp.float32)
        return 255 * jnp.clip((x + 1) / 2 if config.data.symmetric else x, 0, 1)

    return generate


def _distance_function(features: Extractor) -> Any:
    def distance(variables: Any, first: jax.Array, second: jax.Array) -> jax.Array:
        step = features.function(variables, second) - features.function(variables, first)
        return jnp.square(step.reshape(len(step), -1)).sum(1)

    return distance


def require_extractor(features: Features | None) -> Extractor:
    """Return features that accept images between the 256 levels, as path lengths need.

    Raises UserError for other features.
    """
    if not isinstance(features, Extractor):
        name = features.name if features else "none"
        raise UserError(
            "features of the path length must be classifier, inception or pixels, of a run on "
            f"images, got {name}"
        )
    return features


def accuracy_evaluators(evaluation: Evaluation, n: int) -> list[ClassificationAccuracy]:
    """Make the evaluator of classification accuracy, if the settings have a test set."""
    config, settings = evaluation.config, evaluation.settings
    test, features, quiet = settings.test, settings.features, settings.quiet
    if test is None or features is None:
        return []
    return [ClassificationAccuracy(config, test, features, n, quiet=quiet)]


def path_length_evaluators(evaluation: Evaluation) -> list[PerceptualPathLength]:
    """Make the evaluator of path length, if the settings have paths."""
    config, settings = evaluation.config, evaluation.settings
    if not settings.paths:
        return []
    features, fingerprint = require_extractor(settings.features), evaluation.dataset.fingerprint
    paths, quiet = settings.paths, settings.quiet
    return [PerceptualPathLength(config, features, paths, fingerprint, quiet=quiet)]
