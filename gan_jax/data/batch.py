"""A batch of training examples."""

from typing import Any

import flax.struct


class Batch(flax.struct.PyTreeNode):
    """Examples and their conditions.

    The batch of a training step has leaves [n_critic, n, ...].
    """

    real: Any
    """Examples [n, ...], float32, or in the dtype of the stored data set."""
    cond: Any = None
    """Conditions: None, labels int32 [n], or any pytree with leaves [n, ...]."""
