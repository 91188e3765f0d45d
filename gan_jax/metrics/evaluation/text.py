"""Evaluation of texts over temperatures: quality against diversity.

At each temperature: BLEU of samples against the split `test` (quality), self-BLEU of all samples
(sameness), and likelihoods in nats per token, counting all steps of a sequence: nll_gen of test
sentences under the generator, nll_div of its samples under itself, and, for the synthetic data,
nll_oracle of its samples under the distribution of the data. Compare language GANs over all
temperatures: a likelihood model at a lower one may be better in both (1811.02549).
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from gan_jax.core.errors import UserError
from gan_jax.data import sources
from gan_jax.data.sources import Dataset
from gan_jax.data.text import corpus, oracle
from gan_jax.inference import text
from gan_jax.metrics import bleu
from gan_jax.metrics.evaluation.evaluator import Evaluation, EvaluationProtocol, Score, Scores
from gan_jax.metrics.evaluation.members import Member
from gan_jax.networks import lstm

MAX_SAMPLES = 5000  # by default as many as there are test sentences, up to this


def _nll(network: Any, variables: Any, rows: np.ndarray, temperature: float = 1.0) -> float:
    value = text.log_likelihood(network, variables, rows, temperature).mean()
    if not np.isfinite(value):
        raise FloatingPointError("a likelihood is not finite")
    return float(-value / rows.shape[1])


class TextMetrics:
    """BLEU, self-BLEU and likelihoods at one temperature.

    An unknown token of a test sentence matches none of a sample, and sentences with one do not
    count for nll_gen.
    """

    def __init__(self, dataset: Dataset, test: Dataset, protocol: EvaluationProtocol):
        """`dataset` is that of the run, and `test` its split `test`."""
        self.protocol = protocol
        self._dataset, self._test = dataset, test

    def __call__(self, member: Member) -> Scores:
        """Score a member by names that end in `at TEMPERATURE`, unless that is 1."""
        temperature, n = self.protocol.temperature, self.protocol.n_fake
        assert temperature is not None
        config, variables = member.config, member.variables
        rows = text.sample(config, variables, member.key, n, temperature)
        real = np.asarray(self._test.batch.real)
        scores = {"nll_div": Score(_nll(config.gen, variables, rows, temperature), 0, n)}
        if config.data.name == "oracle":
            shape = self._dataset.shape
            network, parameters = lstm.oracle_generator(*shape), oracle.oracle_variables(*shape)
            scores["nll_oracle"] = Score(_nll(network, parameters, rows), 0, n)
        else:
            scores |= self._bleu(rows)
            real = real[(real != corpus.UNKNOWN).all(1)]
        if len(real):
            nll_gen = _nll(config.gen, variables, real, temperature)
            scores["nll_gen"] = Score(nll_gen, len(real), n)
        suffix = "" if temperature == 1 else f" at {temperature:g}"
        return {f"{name}{suffix}": score for name, score in scores.items()}

    def _bleu(self, rows: np.ndarray) -> Scores:
        vocabulary, real = self._dataset.vocabulary, np.asarray(self._test.batch.real)
        assert vocabulary is not None
        samples, references = (corpus.sentences(part, vocabulary) for part in (rows, real))
        # -1: an unknown word is no word of the generator, which has its own token for it.
        references = [
            [-1 if token == corpus.UNKNOWN else token for token in sentence]
            for sentence in references
        ]
        quality, sameness = bleu.bleu(samples, references), bleu.self_bleu(samples)
        scores = {f"bleu_{k}": Score(value, len(real), len(rows)) for k, value in quality.items()}
        return scores | {
            f"self_bleu_{k}": Score(value, 0, len(rows)) for k, value in sameness.items()
        }


def _check(temperatures: Sequence[float]) -> None:
    if min(temperatures) <= 0 or len(set(temperatures)) < len(temperatures):
        raise UserError(f"temperatures are {[*temperatures]}: they must be above 0, once each")


def text_evaluators(evaluation: Evaluation) -> list[TextMetrics]:
    """Make the evaluators of a run on texts, one for each temperature.

    Raises UserError where there is no split `test`, or one with another vocabulary.
    """
    config, dataset, settings = evaluation.config, evaluation.dataset, evaluation.settings
    _check(settings.temperatures)
    data = dataclasses.replace(evaluation.data, split="test")
    test = sources.load(data)
    if test.vocabulary != dataset.vocabulary:
        raise UserError(f"the test of {config.data.name!r} has another vocabulary than the run's")
    protocol = EvaluationProtocol(
        features="tokens",
        real=sources.describe(data),
        real_sha256=test.fingerprint,
        n_real=len(test),
        n_fake=settings.num or min(len(test), MAX_SAMPLES),
    )
    protocols = [dataclasses.replace(protocol, temperature=t) for t in settings.temperatures]
    return [TextMetrics(dataset, test, protocol) for protocol in protocols]
