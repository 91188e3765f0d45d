"""Rematerialization: recompute activations inside blocks to save memory.

Only the inputs of each module that the network calls directly (a residual block, a styled
convolution) are stored for the gradient. Networks of blocks benefit: R3GAN, the ResNets, U-Net,
StyleGAN2. Networks of single layers (DCGAN, MLPs) do not, since the activations between layers are
stored in any case. It is meant for accelerators: on CPU, XLA merges the repeated computations.
"""

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from typing import Any

import flax.linen as nn

_inside_block = contextvars.ContextVar("inside_block", default=False)


def _rematerialize_block(call: Callable, args: tuple, kwargs: dict[str, Any], context: Any) -> Any:
    module = context.module
    is_network = module.scope is None or not module.scope.path
    is_block = not (is_network or _inside_block.get())
    if not is_block or context.method_name != "__call__" or module.is_initializing():
        return call(*args, **kwargs)

    def apply_block(module: nn.Module, *args: Any) -> Any:
        return module(*args, **kwargs)  # pyright: ignore[reportCallIssue]

    token = _inside_block.set(True)
    try:
        return nn.remat(apply_block)(module, *args)
    finally:
        _inside_block.reset(token)


@contextlib.contextmanager
def rematerialized_blocks(enabled: bool) -> Iterator[None]:
    """Rematerialize the blocks of networks that are applied inside this context, if enabled."""
    if not enabled:
        yield
        return
    with nn.intercept_methods(_rematerialize_block):
        yield


def rematerialize(function: Callable, enabled: bool) -> Callable:
    """Wrap a function so that the networks it applies rematerialize their blocks, if enabled."""

    def wrapped(*args: Any) -> Any:
        with rematerialized_blocks(enabled):
            return function(*args)

    return wrapped
