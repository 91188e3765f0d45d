"""Export of generators to single files that need only jax."""
