"""Metrics: pure functions of samples or of features; they know nothing of networks."""
