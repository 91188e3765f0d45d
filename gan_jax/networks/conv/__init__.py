"""Convolutions for CPUs: layouts and algorithms that XLA lacks there."""
