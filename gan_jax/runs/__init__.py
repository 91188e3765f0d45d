"""Run folders: checkpoints, logs, score cards and comparisons of runs."""
