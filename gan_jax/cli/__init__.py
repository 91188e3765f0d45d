"""The command line `gan-jax`. Nothing heavy is imported before a command runs.

Positional arguments are inputs, `--out` is the output. A file or folder that the user names with
`--out` is overwritten only with `--force`; a file that a command keeps in a run folder
(scores.json, report.html) is rewritten. `prepare --out` and `resume` continue what they find.
"""
