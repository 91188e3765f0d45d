"""Inputs on which networks are conditioned, as pytrees."""

from typing import Any

import flax.struct


class MaskedImage(flax.struct.PyTreeNode):
    """Pictures with holes, as the networks see them."""

    known: Any
    """[n, h, w, c] float32, zero in the hole."""
    hole: Any
    """[n, h, w, 1] float32: 1 where the picture is not known, else 0."""
    cond: Any = None
    """What the data set conditions on beside: labels, say."""
