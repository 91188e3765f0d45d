"""Conditional inputs of networks, as pytrees."""

from typing import Any

import flax.struct


class MaskedImage(flax.struct.PyTreeNode):
    """Masked images, the condition of an inpainting network."""

    known: Any
    """Images, float32 [n, h, w, c], zero where they are masked."""
    hole: Any
    """Mask, float32 [n, h, w, 1]: 1 for masked pixels, 0 for known ones."""
    cond: Any = None
    """Further condition from the data set, such as class labels."""
