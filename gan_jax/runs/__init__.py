"""The run folder: checkpoints, logs, score cards, and comparisons of runs."""
