"""Compare GAN samples with classic augmentation, for a digit classifier with few labels.

    python -m studies.augment_study

The data set is `mnist` as tensorflow-datasets prepares it, in `$TFDS_DATA_DIR`. Results are in
experiments/results/augment_study.json.

A classifier is trained on k labeled digits per class in four ways: on these alone; on these
shifted, slanted and zoomed at random (classic); on these and as many GAN samples in every batch; on
both, all of them moved. It is tested on the 10,000 test digits.

The GAN is trained from scratch on the same k digits per class and nothing else. Its settings are
equal for all k. They were chosen by looking at samples for k = 10 and 100, and no digit was held
out to decide when to stop. It is class-conditional (a smaller `mnist_cdcgan`), with R1 and
DiffAugment's translation (Zhao et al. 2020, 2006.10738) against overfitting.

Each repeat has its own subset of digits, and one seed for its GAN and its four classifiers; all
repeats of a k are trained at once. Intervals (Student t, 95 %) are over repeats, that is over
subsets, GANs and classifiers together. Differences are within repeats, with the p of the two-sided
paired t test, not corrected for their number. All classifiers make the same number of steps.
"""

import dataclasses
import functools
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments import mnist_cdcgan
from gan_jax.config import Augment, Config, Optimizer, Penalties, population, serialization
from gan_jax.config.validation import validate
from gan_jax.core import command_line
from gan_jax.core.errors import UserError
from gan_jax.core.progress import Progress
from gan_jax.data import sources
from gan_jax.data.sources import Dataset
from gan_jax.inference import synthetic_dataset
from gan_jax.metrics.features.classifier_ensemble import fit_many
from gan_jax.metrics.features.classifier_training import Network, Recipe
from gan_jax.metrics.significance import confidence_interval
from gan_jax.reporting import plots
from gan_jax.runs import folder, timing
from gan_jax.training import loop, population_state
from gan_jax.training.state import generator_variables
from studies import common

adam = Optimizer(lr=1e-3, b1=0.0, b2=0.99)
config = mnist_cdcgan.config.replace(
    name="augment_study",
    gen=dataclasses.replace(mnist_cdcgan.config.gen, width=16),
    disc=dataclasses.replace(mnist_cdcgan.config.disc, width=16),
    penalties=Penalties(r1=0.5),
    augment=Augment(diffaugment=("translation",)),
    gen_opt=adam,
    disc_opt=adam,
    ema_ramp=0.05,
    batch_size=32,
)
SAMPLES = 500  # per class
CLASSIFIER_STEPS = 600
PLAIN = Recipe(widths=(16, 32, 32), features=64, batch_size=64, shift=0)
CLASSIC = dataclasses.replace(PLAIN, shift=2, slant=0.2, zoom=0.1)
# Recipe of each arm, and whether it is trained on samples too.
ARMS = {
    "nothing": (PLAIN, False),
    "classic": (CLASSIC, False),
    "gan": (PLAIN, True),
    "classic_gan": (CLASSIC, True),
}
PAIRS = (("gan", "nothing"), ("classic", "nothing"), ("classic_gan", "classic"))


@dataclasses.dataclass(frozen=True)
class Study:
    """Experiments to run, and the file to write."""

    ks: tuple[int, ...] = (5, 10, 20, 50, 100)
    """Numbers of labeled digits per class."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Seeds of the repeats: of the subset, the GAN and the classifiers."""
    steps: int = 2500
    """Number of train steps of a GAN."""
    dir: str | None = None
    """TFDS data directory."""
    out: Path = Path("experiments/results/augment_study.json")
    """Path of the record, written after each k. Results that it has are not computed again. Samples
    of the first repeat's GANs are written to the same folder."""


def train_gans(config: Config, sets: Sequence[Dataset]) -> list[tuple[Config, Any]]:
    """Train a population, one member per data set.

    Args:
        config: Config of the population.
        sets: Data sets, one per member.

    Returns:
        The config and the generator's variables of each member.
    """
    members, state = population.member_configs(config), None
    progress = Progress(0, config.steps, config.batch_size * len(members))
    done = 0
    for step, state, metrics in loop.iterate(  # noqa: B007
        config, sets, devices=jax.local_devices()[:1]
    ):
        losses = {name: float(np.mean(metrics[name])) for name in ("disc_loss", "gen_loss")}
        progress.update(step - done, losses)
        done = step
    progress.close()
    assert state is not None
    runs = [population_state.member_run(config, state, i) for i in range(len(members))]
    return [(member, generator_variables(member_state)) for member, member_state in runs]


def mixed(real: Dataset, samples: tuple[np.ndarray, np.ndarray] | None, n: int):
    """Return a training set of repeated real images, half of it samples if there are any.

    Args:
        real: Real images and labels.
        samples: n/2 generated images, uint8, and their labels; None trains on real images alone.
        n: Size of the training set.

    Returns:
        Images uint8 [n, h, w, c] and labels int32 [n].
    """
    images, labels = real.batch.real, real.batch.cond
    repeated = np.resize(np.arange(len(images)), n if samples is None else n // 2)
    parts = [(images[repeated], labels[repeated]), *([] if samples is None else [samples])]
    return tuple(map(np.concatenate, zip(*parts, strict=True)))


@functools.partial(jax.jit, static_argnums=0)
def _num_correct(
    network: Network, variables: Any, images: jax.Array, labels: jax.Array
) -> jax.Array:
    outputs: Any = network.apply(variables, images.astype(jnp.float32) / 255, train=False)
    return (outputs[1].argmax(-1) == labels).sum()


def accuracies(
    recipe: Recipe, sets: Sequence[Any], seeds: Sequence[int], test: Dataset
) -> list[float]:
    """Train a classifier on each training set and return their test accuracies.

    Args:
        recipe: Training recipe of the classifiers.
        sets: Pairs of images and labels, one per classifier.
        seeds: Seeds, one per classifier.
        test: Test set.

    Returns:
        Accuracies in [0, 1], one per classifier.
    """
    images, labels = map(np.stack, zip(*sets, strict=True))
    recipe = dataclasses.replace(
        recipe, epochs=CLASSIFIER_STEPS * recipe.batch_size / images.shape[1]
    )
    network, variables = fit_many(recipe, images, labels, 10, seeds)
    parts = np.split(test.batch.real, 10), np.split(test.batch.cond, 10)
    shares = []
    for i in range(len(seeds)):
        classifier = jax.tree.map(lambda leaf, i=i: leaf[i], variables)
        correct = [_num_correct(network, classifier, x, y) for x, y in zip(*parts, strict=True)]
        shares.append(sum(map(int, correct)) / len(test))
    return shares


def summary(accuracy: dict[str, list[float]]) -> dict[str, Any]:
    """Return each arm's mean accuracy, and the differences of `PAIRS` within repeats.

    Both have 95 % intervals; differences have the p of the paired t test.
    """
    arms, differences = {}, {}
    for arm, values in accuracy.items():
        mean, half, _ = confidence_interval(values)
        arms[arm] = {"mean": mean, "half": half}
    for arm, against in PAIRS:
        difference = np.subtract(accuracy[arm], accuracy[against])
        mean, half, p = confidence_interval(difference)
        differences[f"{arm} - {against}"] = {"mean": mean, "half": half, "p": p}
    return {"arms": arms, "differences": differences}


def table(record: dict[str, Any]) -> str:
    """Return the table of a recorded study: accuracies and differences in percent."""
    names = {
        "nothing": "nothing",
        "classic": "classic",
        "gan": "GAN",
        "classic_gan": "classic + GAN",
    }
    pairs = [f"{names[arm]} against {names[against]}" for arm, against in PAIRS]
    header = ["digits per class", *names.values(), *pairs]
    rows = []
    for k in sorted(record["results"], key=int):
        entry = record["results"][k]["summary"]
        arms = [entry["arms"][arm] for arm in names]
        cells = [f"{100 * a['mean']:.1f} ± {100 * a['half']:.1f}" for a in arms]
        for d in entry["differences"].values():
            p = "" if d["p"] is None else f" (p {d['p']:.2g})"
            cells.append(f"{100 * d['mean']:+.1f} ± {100 * d['half']:.1f}{p}")
        rows.append([k, *cells])
    return common.table(header, rows)


def run_repeats(
    k: int, config: Config, train: Dataset, test: Dataset
) -> tuple[dict[str, Any], np.ndarray]:
    """Run all repeats for one k.

    Args:
        k: Number of labeled digits per class.
        config: Config of the GANs, a population with one seed per repeat.
        train: Complete training set.
        test: Test set of the classifiers.

    Returns:
        The entry of the record, and ten samples per class of the first repeat's GAN.
    """
    start, seeds = time.monotonic(), config.seeds
    subsets = [dataclasses.replace(config.data, per_class=k, subset_seed=seed) for seed in seeds]
    real = [sources.subsample(train, data) for data in subsets]
    generated = [
        synthetic_dataset.labeled_samples(member, variables, member.seed, SAMPLES)
        for member, variables in train_gans(config, real)
    ]
    gan_seconds, n, accuracy = time.monotonic() - start, 20 * SAMPLES, {}
    for arm, (recipe, sampled) in ARMS.items():
        samples = generated if sampled else [None] * len(seeds)
        sets = [mixed(*pair, n) for pair in zip(real, samples, strict=True)]
        accuracy[arm] = accuracies(recipe, sets, seeds, test)
    seconds = {"gans": gan_seconds, "all": time.monotonic() - start}
    fingerprints = [subset.fingerprint for subset in real]
    entry = {"accuracy": accuracy, "summary": summary(accuracy), "data": fingerprints}
    return {**entry, "seconds": seconds}, generated[0][0][:100]


def load_results(out: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Load the results so far.

    Raises:
        UserError: The file has other settings, or cannot be read.
    """
    if not out.exists():
        return {}
    try:
        record = json.loads(out.read_text())
        recorded_settings, results = record["settings"], record["results"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{out} cannot be read: {type(error).__name__}: {error}") from None
    differing = sorted(name for name in settings if recorded_settings.get(name) != settings[name])
    if differing:
        raise UserError(f"out must have the same {', '.join(differing)}, got {out}")
    return results


def main() -> None:
    """Train and test what is not on record yet, and print the table."""
    with command_line.user_errors():
        flags = command_line.parse(Study())
        command_line.use_compilation_cache()
        if len(set(flags.seeds)) < max(len(flags.seeds), 2):
            raise UserError(f"seeds must be two or more different integers, got {flags.seeds}")
        if not all(1 <= k <= SAMPLES for k in flags.ks):
            raise UserError(f"ks must be integers from 1 to {SAMPLES}, got {flags.ks}")
        data = dataclasses.replace(config.data, dir=flags.dir)
        gan = config.replace(steps=flags.steps, seeds=flags.seeds, data=data)
        validate(gan)
        train, test = (
            sources.load(sources.labeled_split(data, split)) for split in ("train", "test")
        )
        settings = {
            "seeds": list(flags.seeds),
            "gan": json.loads(serialization.dumps(dataclasses.replace(gan, data=config.data))),
            "samples_per_class": SAMPLES,
            "classifier": {"steps": CLASSIFIER_STEPS, "plain": dataclasses.asdict(PLAIN)},
            "classic": dataclasses.asdict(CLASSIC),
            "test": test.fingerprint,
        }
        settings = json.loads(json.dumps(settings))
        results = load_results(flags.out, settings)
        versions = folder.run_versions(train, jax.local_devices()[:1])
        for k in flags.ks:
            if str(k) in results:
                continue
            entry, samples = run_repeats(k, gan, train, test)
            results[str(k)] = {**entry, "command": timing.launch_command(), "versions": versions}
            record = {"versions": versions, "settings": settings, "results": results}
            common.write_record(flags.out, record)
            plots.grid(samples, 10).save(flags.out.with_name(f"{flags.out.stem}_{k}.png"))
            print(table(record), flush=True)
        print(table({"results": results}))


if __name__ == "__main__":
    main()
