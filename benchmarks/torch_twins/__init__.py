"""The networks of gan_jax in PyTorch, one file each, and their train step: only to compare with.

Each file has a Generator and a Discriminator, made from the Flax module that they are to equal, on
pictures [n, c, h, w]; the submodules bear Flax's names, so that weights.py can find them.
"""
