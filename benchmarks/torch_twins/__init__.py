"""PyTorch twins of the networks and the train step, for comparison only.

Each file has a Generator and a Discriminator for images [n, c, h, w], constructed from the Flax
module that they equal. Submodules have Flax's names, by which weights.py finds them.
"""
