"""One batch of training examples."""

from typing import Any

import flax.struct


class Batch(flax.struct.PyTreeNode):
    """Examples `real` [n, ...] (float32, or uint8 pixels as a data set stores them), and what they
    are conditioned on: None, labels [n] int32, or any pytree with leaves [n, ...].
    The batch of a train step has leaves [n_critic, n, ...]."""

    real: Any
    cond: Any = None
