"""Base classes of networks: what a generator or discriminator can do, and its default.

The networks of a run inherit from `Generator` and `Discriminator`, a user's own too. The rest of
the package reads these attributes and never tests for them. A network changes one by a property or
by a field of the same name, which then needs a default and is stored in the config:

    class Critic(Discriminator):
        auxiliary: bool = True  # a field

        @property
        def returns_features(self) -> bool:
            return True

(The defaults are properties because an annotated class attribute would come first among the fields
of a subclass that overrides it.)
"""

import flax.linen as nn
import jax


class Network(nn.Module):
    """Attributes of both players."""

    @property
    def classes(self) -> int:
        """Number of class labels that it takes as `cond`; 0: none."""
        return 0


class Generator(Network):
    """Base class of generators: __call__(z, cond=None, *, train) -> examples [n, ...]."""

    @property
    def out(self) -> str:
        """Output activation: tanh, sigmoid, or linear, which fits any range of pixels."""
        return "linear"

    @property
    def latent(self) -> int | None:
        """Leading entries of z that a mapping network maps to w; None without one (StyleGAN2)."""
        return None

    @property
    def w_shape(self) -> tuple[int, int] | None:
        """Shape [layers, d] of an example's w, to which the collection `perturbations` is added.

        Path length regularization needs it; None: not supported.
        """
        return None

    @property
    def has_likelihood(self) -> bool:
        """Whether `log_likelihood` is defined, by which `pretrain` then trains."""
        return False

    def log_likelihood(self, real: jax.Array, cond: object = None, *, train: bool) -> jax.Array:
        """log p(example) [n], in nats, of examples `real` [n, ...]."""
        raise NotImplementedError


class Discriminator(Network):
    """Base class of discriminators: __call__(x, cond=None, *, train) -> logits [n] or [n, r].

    With `needs_rng` the arguments are (x, cond=None, keys=None, *, train), with keys [n].
    """

    @property
    def auxiliary(self) -> bool:
        """Whether it has a class head, whose logits it passes to `layers.sow_class_logits`."""
        return False

    @property
    def pac_size(self) -> int:
        """Consecutive examples that make one input: logits are [n / pac_size]."""
        return 1

    @property
    def needs_rng(self) -> bool:
        """Whether it takes one key per example in training."""
        return False

    @property
    def returns_features(self) -> bool:
        """Whether it passes the features of its stages to `layers.sow_features`."""
        return False
