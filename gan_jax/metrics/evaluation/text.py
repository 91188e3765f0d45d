"""What a run's sentences are worth, over temperatures: quality against diversity.

At each temperature BLEU of samples against the split `test` (quality), self-BLEU of them all
(sameness), and likelihoods, nats a token, all steps of a sequence counted: nll_gen of test
sentences under the generator, nll_div of its samples under itself, and, of the synthetic data,
nll_oracle of its samples under the law of the data. Language GANs are to be compared over all
temperatures, for a likelihood model at a lower one may be better in both (1811.02549).
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gan_jax import population, run, sentences
from gan_jax.config import Config, Data
from gan_jax.data import oracle, sources, text
from gan_jax.data.sources import Dataset
from gan_jax.errors import UserError
from gan_jax.metrics import bleu
from gan_jax.metrics.card import Card
from gan_jax.metrics.evaluation.mixtures import sample_key
from gan_jax.networks import lstm
from gan_jax.progress import tqdm
from gan_jax.restore import restore
from gan_jax.state import generator_variables

TEMPERATURES = (1.0, 0.9, 0.8, 0.7, 0.6)
MOST = 5000  # samples, where nobody says how many: as many as there are test sentences, up to this


def score(
    config: Config,
    variables: Any,
    dataset: Dataset,
    test: Dataset,
    *,
    seed: int | None,
    n: int,
    temperature: float,
) -> dict[str, tuple[float, int]]:
    """Of one member, by name: the score, and how many test sentences it is against (0: none).

    An unknown token of a test sentence matches none of a sample, and sentences with one do not
    count for nll_gen. Raises FloatingPointError where a likelihood is not finite.
    """
    assert dataset.vocabulary is not None
    rows = sentences.sample(config, variables, sample_key(config, seed), n, temperature)

    def nll(gen: Any, of: Any, examples: np.ndarray, temperature: float = 1.0) -> float:
        value = sentences.log_likelihood(gen, of, examples, temperature).mean()
        if not np.isfinite(value):
            raise FloatingPointError("a likelihood is not finite")
        return float(-value / examples.shape[1])

    real = np.asarray(test.batch.real)
    found = {"nll_div": (nll(config.gen, variables, rows, temperature), 0)}
    if config.data.name == "oracle":
        shape = dataset.shape
        law = nll(lstm.oracle(*shape), oracle.variables(*shape), rows)
        found["nll_oracle"] = (law, 0)
    else:
        made = text.sentences(rows, dataset.vocabulary)
        known = text.sentences(real, dataset.vocabulary)
        # Minus: an unknown word is no word of the generator's, which has its own way to say so.
        known = [[-1 if i == text.UNKNOWN else i for i in one] for one in known]
        against = {f"bleu_{k}": (v, len(real)) for k, v in bleu.bleu(made, known).items()}
        among = {f"self_bleu_{k}": (v, 0) for k, v in bleu.self_bleu(made).items()}
        found |= against | among
        real = real[(real != text.UNKNOWN).all(1)]
    if len(real):
        found["nll_gen"] = (nll(config.gen, variables, real, temperature), len(real))
    return found


def evaluate(
    workdir: Path,
    dataset: Dataset,
    *,
    steps: Sequence[int],
    num: int | None = None,
    seed: int | None = None,
    temperatures: Sequence[float] = TEMPERATURES,
    data: Data | None = None,
    quiet: bool = False,
) -> list[Card]:
    """The cards of a run's checkpoints of `steps`, with a value a member; those of temperatures
    other than 1 have it in the metric's name.

    `dataset` is the run's data, and `data` where it lies now, if elsewhere; `num` samples, by
    default as many as test sentences, at most 5000. Raises UserError where there is no test, or the
    run has diverged.
    """
    config = run.load_config(workdir)
    if min(temperatures) <= 0 or len(set(temperatures)) < len(temperatures):
        raise UserError(f"temperatures are {[*temperatures]}: they must be above 0, once each")
    data = dataclasses.replace(data or config.data, split="test")
    test = sources.load(data)
    if test.vocabulary != dataset.vocabulary:
        raise UserError(f"the test of {config.data.name!r} has another vocabulary than the run's")
    n = num or min(len(test), MOST)
    members = population.members(config)
    shared = {
        "seeds": tuple(one.seed for one in members),
        "features": "tokens",
        "features_note": "",
        "features_sha256": "",
        "resize": "none",
        "real": sources.title(data),
        "real_sha256": test.fingerprint,
        "n_fake": n,
        "sample_seed": seed,
    }
    cards = []
    for step in steps:
        _, _, state = restore(workdir, step)
        shared |= {"step": step, "weights": "raw" if state.ema is None else "ema"}
        for temperature in tqdm(temperatures, unit="temperature", disable=quiet):
            each = []
            for number in range(len(members)):
                one, own = population.member(config, state, number)
                how = {"seed": seed, "n": n, "temperature": temperature}
                try:
                    each.append(score(one, generator_variables(own), dataset, test, **how))
                except FloatingPointError:
                    each.append(None)  # it has diverged
            if not any(each):
                raise UserError(f"likelihoods of step {step} are not finite: the run has diverged")
            cards += _cards(each, temperature, shared)
    return cards


def _cards(
    each: Sequence[dict[str, tuple[float, int]] | None],
    temperature: float,
    shared: dict[str, Any],
) -> list[Card]:
    whole = next(found for found in each if found)
    at = "" if temperature == 1 else f" at {temperature:g}"
    return [
        Card(
            metric=f"{name}{at}",
            values=tuple(found[name][0] if found else float("nan") for found in each),
            n_real=n_real,
            temperature=temperature,
            **shared,
        )
        for name, (_, n_real) in whole.items()
    ]
