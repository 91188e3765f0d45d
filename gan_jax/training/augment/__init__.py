"""Differentiable augmentations: pure functions of images, keys, and a probability."""
