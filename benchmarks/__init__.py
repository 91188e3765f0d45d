"""Benchmarks of training, of the loop around the step, and of metrics."""
