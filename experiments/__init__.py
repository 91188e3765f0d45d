"""One experiment a file: a Config, and a docstring with source, command, cost and result."""
