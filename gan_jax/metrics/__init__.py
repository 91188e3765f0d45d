"""Metrics: pure functions of samples or of their features, independent of networks."""
