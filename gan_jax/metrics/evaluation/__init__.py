"""Evaluation of runs: the pipeline from samples to scores and cards."""
