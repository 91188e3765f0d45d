"""Convolutions with layouts and algorithms for CPUs that XLA lacks."""
