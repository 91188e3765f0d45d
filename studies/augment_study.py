"""What a GAN's samples are worth to a classifier with few labelled digits, beside what people use.

Data     MNIST 3.0.1 as tensorflow-datasets prepares it (array_record), in $TFDS_DATA_DIR
Command  python -m studies.augment_study
Result   README.md, from experiments/results/augment_study.json

Of k labelled digits a class a classifier is trained four ways: on these alone; on these moved,
slanted and zoomed at random (classic); on these and, in every batch as many, samples of a GAN; on
both, all of them moved. It is tested on the 10,000 test digits.

What the GAN is allowed: it is trained on the same k digits a class and nothing else, from scratch,
with settings that are the same for all k, were chosen by looking at samples of k = 10 and 100, and
with no digit held out to say when to stop. It is class-conditional (experiments/mnist_cdcgan.py,
smaller), against overfitting with R1 and DiffAugment's translation (Zhao et al. 2020, 2006.10738).

A repeat has its own draw of digits, and one seed for its GAN and its four classifiers; all repeats
of a k are trained at once. Intervals (Student t, 95 %) are over repeats: over draws, GANs and
classifiers together. Differences are within repeats, p of the paired t test, two-sided and not
corrected for how many there are. All classifiers do the same number of steps.
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
SAMPLES = 500  # a class
CLASSIFIER_STEPS = 600
PLAIN = Recipe(widths=(16, 32, 32), features=64, batch_size=64, shift=0)
CLASSIC = dataclasses.replace(PLAIN, shift=2, slant=0.2, zoom=0.1)
# How each is trained, and whether on samples too.
ARMS = {
    "nothing": (PLAIN, False),
    "classic": (CLASSIC, False),
    "gan": (PLAIN, True),
    "classic_gan": (CLASSIC, True),
}
PAIRS = (("gan", "nothing"), ("classic", "nothing"), ("classic_gan", "classic"))


@dataclasses.dataclass(frozen=True)
class Study:
    """What to train, and where to write what it comes to."""

    ks: tuple[int, ...] = (5, 10, 20, 50, 100)
    """Labelled digits a class."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """A repeat each: of the draw, the GAN and the classifiers."""
    steps: int = 2500
    """Of a GAN."""
    dir: str | None = None
    """TFDS data directory."""
    out: Path = Path("experiments/results/augment_study.json")
    """Written after each k. What is there already is not done again. Beside it, samples of the
    first repeat's GANs."""


def train_gans(config: Config, sets: Sequence[Dataset]) -> list[tuple[Config, Any]]:
    """The members of the population `config`, one on each set: config and generator's variables."""
    members, state = population.member_configs(config), None
    progress = Progress(0, config.steps, config.batch_size * len(members))
    done = 0
    for reached, state, metrics in loop.iterate(  # noqa: B007
        config, sets, devices=jax.local_devices()[:1]
    ):
        losses = {name: float(np.mean(metrics[name])) for name in ("disc_loss", "gen_loss")}
        progress.update(reached - done, losses)
        done = reached
    progress.close()
    assert state is not None
    each = [population_state.member_run(config, state, i) for i in range(len(members))]
    return [(one, generator_variables(own)) for one, own in each]


def mixed(real: Dataset, samples: tuple[np.ndarray, np.ndarray] | None, n: int):
    """n pictures uint8 and labels int32 to train on: the reals over and over, and of n half
    `samples` (of which there are n/2), if any."""
    images, labels = real.batch.real, real.batch.cond
    again = np.resize(np.arange(len(images)), n if samples is None else n // 2)
    parts = [(images[again], labels[again]), *([] if samples is None else [samples])]
    return tuple(map(np.concatenate, zip(*parts, strict=True)))


@functools.partial(jax.jit, static_argnums=0)
def _right(network: Network, variables: Any, images: jax.Array, labels: jax.Array) -> jax.Array:
    outputs: Any = network.apply(variables, images.astype(jnp.float32) / 255, train=False)
    return (outputs[1].argmax(-1) == labels).sum()


def accuracies(
    recipe: Recipe, sets: Sequence[Any], seeds: Sequence[int], test: Dataset
) -> list[float]:
    """Of classifiers trained on each of the sets (images, labels), the accuracy on `test`."""
    images, labels = map(np.stack, zip(*sets, strict=True))
    recipe = dataclasses.replace(
        recipe, epochs=CLASSIFIER_STEPS * recipe.batch_size / images.shape[1]
    )
    network, variables = fit_many(recipe, images, labels, 10, seeds)
    parts = np.split(test.batch.real, 10), np.split(test.batch.cond, 10)
    found = []
    for i in range(len(seeds)):
        own = jax.tree.map(lambda leaf, i=i: leaf[i], variables)
        right = [_right(network, own, x, y) for x, y in zip(*parts, strict=True)]
        found.append(sum(map(int, right)) / len(test))
    return found


def summary(accuracy: dict[str, list[float]]) -> dict[str, Any]:
    """Of each arm's accuracies, one a repeat: means with intervals, and of PAIRS the differences
    within repeats, with the p of the paired t test."""
    arms, differences = {}, {}
    for arm, values in accuracy.items():
        mean, half, _ = confidence_interval(values)
        arms[arm] = {"mean": mean, "half": half}
    for arm, against in PAIRS:
        difference = np.subtract(accuracy[arm], accuracy[against])
        differences[f"{arm} - {against}"] = confidence_interval(difference)._asdict()
    return {"arms": arms, "differences": differences}


def table(found: dict[str, Any]) -> str:
    """The README's table of a study on record: accuracies and differences in percent."""
    names = {
        "nothing": "nothing",
        "classic": "classic",
        "gan": "GAN",
        "classic_gan": "classic + GAN",
    }
    pairs = [f"{names[arm]} against {names[against]}" for arm, against in PAIRS]
    head = ["digits a class", *names.values(), *pairs]
    rows = []
    for k in sorted(found["results"], key=int):
        one = found["results"][k]["summary"]
        arms = [one["arms"][arm] for arm in names]
        cells = [f"{100 * a['mean']:.1f} ± {100 * a['half']:.1f}" for a in arms]
        for d in one["differences"].values():
            p = "" if d["p"] is None else f" (p {d['p']:.2g})"
            cells.append(f"{100 * d['mean']:+.1f} ± {100 * d['half']:.1f}{p}")
        rows.append([k, *cells])
    return common.table(head, rows)


def one_k(
    k: int, config: Config, whole: Dataset, test: Dataset
) -> tuple[dict[str, Any], np.ndarray]:
    """All repeats of one k, as the record has them; and ten samples a class of the first's GAN."""
    began, seeds = time.monotonic(), config.seeds
    draws = [dataclasses.replace(config.data, per_class=k, subset_seed=seed) for seed in seeds]
    real = [sources.subsample(whole, data) for data in draws]
    made = [
        synthetic_dataset.labeled_samples(one, variables, one.seed, SAMPLES)
        for one, variables in train_gans(config, real)
    ]
    gan_seconds, n, accuracy = time.monotonic() - began, 20 * SAMPLES, {}
    for arm, (recipe, sampled) in ARMS.items():
        samples = made if sampled else [None] * len(seeds)
        sets = [mixed(*both, n) for both in zip(real, samples, strict=True)]
        accuracy[arm] = accuracies(recipe, sets, seeds, test)
    seconds = {"gans": gan_seconds, "all": time.monotonic() - began}
    fingerprints = [one.fingerprint for one in real]
    entry = {"accuracy": accuracy, "summary": summary(accuracy), "data": fingerprints}
    return {**entry, "seconds": seconds}, made[0][0][:100]


def opened(out: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """The results so far. Raises UserError if they are of other settings, or cannot be read."""
    if not out.exists():
        return {}
    try:
        found = json.loads(out.read_text())
        there, results = found["settings"], found["results"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{out} cannot be read: {type(error).__name__}: {error}") from None
    differing = sorted(name for name in settings if there.get(name) != settings[name])
    if differing:
        raise UserError(f"{out} is of other {', '.join(differing)}: give another --out")
    return results


def main() -> None:
    """Trains and tests what is not on record yet, and prints the table."""
    with command_line.user_errors():
        flags = command_line.parse(Study())
        command_line.use_compilation_cache()
        if len(set(flags.seeds)) < max(len(flags.seeds), 2):
            raise UserError(f"seeds is {flags.seeds}: it must be two or more, each once")
        if not all(1 <= k <= SAMPLES for k in flags.ks):
            raise UserError(f"ks is {flags.ks}: each must be from 1 to {SAMPLES}")
        data = dataclasses.replace(config.data, dir=flags.dir)
        gan = config.replace(steps=flags.steps, seeds=flags.seeds, data=data)
        validate(gan)
        whole, test = (
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
        results = opened(flags.out, settings)
        versions = folder.run_versions(whole, jax.local_devices()[:1])
        for k in flags.ks:
            if str(k) in results:
                continue
            entry, samples = one_k(k, gan, whole, test)
            results[str(k)] = {**entry, "command": timing.launch_command(), "versions": versions}
            record = {"versions": versions, "settings": settings, "results": results}
            common.write_record(flags.out, record)
            plots.grid(samples, 10).save(flags.out.with_name(f"{flags.out.stem}_{k}.png"))
            print(table(record), flush=True)
        print(table({"results": results}))


if __name__ == "__main__":
    main()
