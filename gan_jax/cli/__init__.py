"""The command line `gan-jax`. JAX is imported only when a command runs.

Positional arguments are inputs, `--out` is the output. Existing files and folders at `--out` are
overwritten only with `--force`. The files that a command maintains in a run folder (scores.json,
report.html) are always rewritten. `prepare --out` and `resume` continue existing output.
"""
