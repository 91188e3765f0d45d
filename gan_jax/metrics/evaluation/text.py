"""Evaluation of texts over temperatures, by quality and diversity.

At each temperature, the metrics are BLEU of samples against the split `test` (quality), self-BLEU
of all samples (lack of diversity), and negative log-likelihoods in nats per token, over all steps
of a sequence. nll_gen is that of test sentences under the generator, nll_div that of samples under
the generator, and, for the synthetic data, nll_oracle that of samples under the data distribution.
Compare language GANs over all temperatures: a maximum-likelihood model at a lower temperature may
be better in both quality and diversity (1811.02549).
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

MAX_SAMPLES = 5000  # limit of the default, the number of test sentences


def _nll(network: Any, variables: Any, rows: np.ndarray, temperature: float = 1.0) -> float:
    log_likelihood = text.log_likelihood(network, variables, rows, temperature).mean()
    if not np.isfinite(log_likelihood):
        raise FloatingPointError("a likelihood is not finite")
    return float(-log_likelihood / rows.shape[1])


class TextMetrics:
    """Evaluator of BLEU, self-BLEU and likelihoods at one temperature.

    Unknown tokens of test sentences match no token of a sample, and sentences with unknown tokens
    are excluded from nll_gen.
    """

    def __init__(self, dataset: Dataset, test: Dataset, protocol: EvaluationProtocol):
        """Make the evaluator.

        Args:
            dataset: Data set of the run.
            test: Split `test` of the data set.
            protocol: Protocol of the scores, with a temperature.
        """
        self.protocol = protocol
        self._dataset, self._test = dataset, test

    def __call__(self, member: Member) -> Scores:
        """Score a member; names of metrics end in `at TEMPERATURE`, unless it is 1."""
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
        # -1 differs from all tokens of the generator, which can sample the unknown token too.
        references = [
            [-1 if token == corpus.UNKNOWN else token for token in sentence]
            for sentence in references
        ]
        quality, self_quality = bleu.bleu(samples, references), bleu.self_bleu(samples)
        scores = {f"bleu_{k}": Score(score, len(real), len(rows)) for k, score in quality.items()}
        return scores | {
            f"self_bleu_{k}": Score(score, 0, len(rows)) for k, score in self_quality.items()
        }


def _check_temperatures(temperatures: Sequence[float]) -> None:
    if min(temperatures) <= 0 or len(set(temperatures)) < len(temperatures):
        raise UserError(f"temperatures must be above 0 and distinct, got {[*temperatures]}")


def text_evaluators(evaluation: Evaluation) -> list[TextMetrics]:
    """Make the evaluators of a run on texts, one for each temperature.

    Raises UserError if there is no split `test`, or it has another vocabulary.
    """
    config, dataset, settings = evaluation.config, evaluation.dataset, evaluation.settings
    _check_temperatures(settings.temperatures)
    data = dataclasses.replace(evaluation.data, split="test")
    test = sources.load(data)
    if test.vocabulary != dataset.vocabulary:
        raise UserError(
            f"split test of {config.data.name!r} must have the vocabulary of the run, got another"
        )
    protocol = EvaluationProtocol(
        features="tokens",
        real=sources.describe(data),
        real_sha256=test.fingerprint,
        n_real=len(test),
        n_fake=settings.num or min(len(test), MAX_SAMPLES),
    )
    protocols = [dataclasses.replace(protocol, temperature=t) for t in settings.temperatures]
    return [TextMetrics(dataset, test, protocol) for protocol in protocols]
