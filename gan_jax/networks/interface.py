"""Base classes of networks, with the default of every optional capability.

All networks of a run, also a user's own, inherit from `Generator` and `Discriminator`. The rest of
the package reads these attributes without testing that they exist. A network overrides one with a
property, or with a field of the same name, which needs a default and is stored in the config:

    class Critic(Discriminator):
        auxiliary: bool = True  # a field

        @property
        def returns_features(self) -> bool:
            return True

(The defaults are properties: an annotated class attribute would become the first field of a
subclass that overrides it.)
"""

import flax.linen as nn
from jaxtyping import Array, Float


class Network(nn.Module):
    """Attributes that generators and discriminators share."""

    @property
    def classes(self) -> int:
        """Number of classes of the labels in `cond`; 0: no labels."""
        return 0


class Generator(Network):
    """Base class of generators.

    Subclasses define `__call__(z, cond=None, *, train)` -> examples [n, ...].
    """

    @property
    def out(self) -> str:
        """Output activation: tanh, sigmoid, or linear, which suits any pixel range."""
        return "linear"

    @property
    def latent(self) -> int | None:
        """Number of leading entries of z that a mapping network maps to w (StyleGAN2), or None."""
        return None

    @property
    def w_shape(self) -> tuple[int, int] | None:
        """Shape [layers, d] of an example's w, or None if there is no w.

        The collection `perturbations` is added to w. Path length regularization requires it.
        """
        return None

    @property
    def has_likelihood(self) -> bool:
        """Return whether `log_likelihood` is defined, the objective of pretraining."""
        return False

    def log_likelihood(
        self, real: Float[Array, " n *shape"], cond: object = None, *, train: bool
    ) -> Float[Array, " n"]:
        """Compute log p(example) of real examples, in nats.

        Args:
            real: Real examples.
            cond: Condition of the examples.
            train: Whether to apply the network in training mode.

        Returns:
            Log-likelihoods.
        """
        raise NotImplementedError


class Discriminator(Network):
    """Base class of discriminators.

    Subclasses define `__call__(x, cond=None, *, train)` -> logits [n] or [n, r]. With `needs_rng`
    the arguments are `(x, cond=None, keys=None, *, train)`, with one key per example.
    """

    @property
    def auxiliary(self) -> bool:
        """Return whether a class head passes its logits to `layers.sow_class_logits`."""
        return False

    @property
    def pac_size(self) -> int:
        """Number of consecutive examples per input: logits are [n / pac_size]."""
        return 1

    @property
    def needs_rng(self) -> bool:
        """Return whether `__call__` takes one key per example in training."""
        return False

    @property
    def returns_features(self) -> bool:
        """Return whether the features of the stages are passed to `layers.sow_features`."""
        return False
