"""Text study: language models compared over temperatures, on curves with known results."""

import dataclasses

import pytest

from experiments import coco_lstm, coco_relgan
from studies import text_study


def curve(points):
    """Returns rows of one member at temperatures 1, 0.9, ... from (self-BLEU, BLEU) points."""
    return [
        {"temperature": 1 - i / 10, "self_bleu_4": [self_bleu], "bleu_4": [bleu]}
        for i, (self_bleu, bleu) in enumerate(points)
    ]


def test_ahead_is_the_vertical_distance_between_the_curves():
    baseline = curve([(0.2, 0.1), (0.4, 0.3), (0.6, 0.4)])  # not a straight line
    model = curve([(0.1, 0.5), (0.3, 0.5), (0.5, 0.25), (0.6, 0.4), (0.7, 0.9)])
    expected = [None, 0.3, -0.1, 0.0, None]
    assert text_study.ahead(model, baseline) == pytest.approx(expected)
    assert text_study.ahead(baseline, baseline) == pytest.approx([0, 0, 0])


def test_members_are_averaged_before_the_comparison():
    rows = [row | {"bleu_4": [row["bleu_4"][0] + 0.2, row["bleu_4"][0]]} for row in curve([(0, 0)])]
    assert text_study.ahead(rows, curve([(0, 0.1)])) == pytest.approx([0.0], abs=1e-12)


def test_a_run_is_scored_at_the_end_of_each_phase():
    assert text_study.stages(coco_relgan.small) == {
        "coco_relgan_small, likelihood": 500,
        "coco_relgan_small, game": 1000,
    }
    assert text_study.stages(coco_lstm.small) == {"coco_lstm_small, likelihood": 2500}
    pretrain = dataclasses.replace(coco_relgan.small.pretrain, steps=0)
    config = coco_relgan.small.replace(pretrain=pretrain)
    assert text_study.stages(config) == {"coco_relgan_small, game": 1000}
