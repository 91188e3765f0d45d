"""The transformations of gan_jax/augment.py: of one picture [h, w, c] float32, pixels in [-1, 1].

Each file has `draw`, which makes the parameters from one example's key, and pure functions that
apply them, linear or affine in the pixels, so that derivatives of every order exist.
"""
