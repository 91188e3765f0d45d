"""Exported generators: one file that needs jax alone."""
