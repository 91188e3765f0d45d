"""Differentiable augmentations, as pure functions of images, keys and a probability."""
