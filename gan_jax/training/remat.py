"""Less memory for gradients: what is inside of a network's blocks is computed again when needed.

Of each module that the network itself calls (a residual block, a styled convolution) only what goes
in is kept for the gradient. So it is networks of blocks that gain: R3GAN, the ResNets, U-Net,
StyleGAN2; those of single layers, DCGAN and MLPs, keep what lies between their layers all the same.
And it is for accelerators: XLA for CPUs merges what is computed twice, and keeps it.
"""

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from typing import Any

import flax.linen as nn

_inside = contextvars.ContextVar("inside", default=False)


def _rematerialize_block(call: Callable, args: tuple, kwargs: dict[str, Any], context: Any) -> Any:
    module = context.module
    outer = module.scope is None or not module.scope.path  # the network itself
    if outer or _inside.get() or context.method_name != "__call__" or module.is_initializing():
        return call(*args, **kwargs)

    def again(module: nn.Module, *args: Any) -> Any:
        return module(*args, **kwargs)  # pyright: ignore[reportCallIssue]

    token = _inside.set(True)
    try:
        return nn.remat(again)(module, *args)
    finally:
        _inside.reset(token)


@contextlib.contextmanager
def rematerialized_blocks(enabled: bool) -> Iterator[None]:
    """Of a network that is applied in here, where `on`, the blocks are rematerialised."""
    if not enabled:
        yield
        return
    with nn.intercept_methods(_rematerialize_block):
        yield


def rematerialize(function: Callable, enabled: bool) -> Callable:
    """The function, the networks that it applies being in `blocks(on)`."""

    def inner(*args: Any) -> Any:
        with rematerialized_blocks(enabled):
            return function(*args)

    return inner
