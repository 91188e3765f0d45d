"""PyTorch twin of the train step: the same losses, penalties and order of updates.

It has the usual optimizations: no graph of the generator in the discriminator's updates, no
gradients of the discriminator's weights in the generator's, one pass for logits and their slope if
both are of the same images, fused Adam. Unlike gan_jax it does not check that updates are finite.
"""

import dataclasses
from collections.abc import Callable, Sequence

import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.nn import functional  # pyright: ignore[reportMissingImports]

from gan_jax.config import Config, Optimizer, schedules

softplus, relu = functional.softplus, functional.relu


@dataclasses.dataclass
class Noise:
    """Random inputs of a step except the order of examples."""

    disc: torch.Tensor
    """Latents of the discriminator's updates [n_critic, n, z_dim]."""
    mix: torch.Tensor
    """Uniform weights of the real examples in gradient_penalty [n_critic, n]."""
    gen: torch.Tensor
    """Latents of the generator's update [n, z_dim]."""


def sample_noise(config: Config) -> Noise:
    """Sample the noise of a step by PyTorch's generator."""
    n, n_critic = config.batch_size, config.n_critic
    z = torch.randn(n_critic + 1, n, config.prior.dim)
    return Noise(z[:-1], torch.rand(n_critic, n), z[-1])


def disc_loss(name: str, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """Compute the discriminator's loss.

    Args:
        name: Name of the loss.
        real: Logits of real examples [n].
        fake: Logits of fakes [n].

    Returns:
        The loss.
    """
    match name:
        case "non_saturating":
            return softplus(-real).mean() + softplus(fake).mean()
        case "hinge":
            return relu(1 - real).mean() + relu(1 + fake).mean()
        case "wasserstein":
            return fake.mean() - real.mean()
        case "relativistic":
            return softplus(fake - real).mean()
    raise ValueError(f"loss must be one of the twins', got {name!r}")


def gen_loss(name: str, real: torch.Tensor | None, fake: torch.Tensor) -> torch.Tensor:
    """Compute the generator's loss.

    Args:
        name: Name of the loss.
        real: Logits of real examples [n], for relativistic losses only.
        fake: Logits of fakes [n].

    Returns:
        The loss.
    """
    if name == "non_saturating":
        return softplus(-fake).mean()
    return -fake.mean() if real is None else softplus(real - fake).mean()


def squared_slope(logits: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Compute |grad_x f(x_i)|^2 [n], with a graph for its own gradient."""
    (slope,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    return slope.square().flatten(1).sum(1)


def adam(optimizer: Optimizer, network: nn.Module) -> torch.optim.Optimizer:
    """Make the optimizer of a network."""
    if optimizer.name != "adam":
        raise ValueError(f"optimizer must be adam, got {optimizer.name}")
    lr, b2 = float(schedules.value_at(optimizer.lr, 0)), float(schedules.value_at(optimizer.b2, 0))
    betas = (optimizer.b1, b2)
    return torch.optim.Adam(network.parameters(), lr, betas, optimizer.eps, fused=True)


def make_train_step(
    config: Config,
    gen: nn.Module,
    disc: nn.Module,
    eager_disc: nn.Module | None = None,
) -> Callable[[Sequence[torch.Tensor], Noise], dict[str, torch.Tensor]]:
    """Make a train step that updates the networks in place.

    Args:
        config: Config of the run.
        gen: Generator, which may be compiled.
        disc: Discriminator, which may be compiled.
        eager_disc: Discriminator that penalties differentiate: compiled ones have no second
            derivatives. None uses `disc`.

    Returns:
        A function (real n_critic x [n, c, h, w], noise) -> losses. Gradients stay in the
        parameters' `grad`.
    """
    penalized_disc = disc if eager_disc is None else eager_disc
    gen_opt, disc_opt = adam(config.gen_opt, gen), adam(config.disc_opt, disc)
    weights = {
        field.name: float(schedules.value_at(getattr(config.objective.penalties, field.name), 0))
        for field in dataclasses.fields(config.objective.penalties)
    }
    r1, r2, gradient_penalty = (weights.pop(name) for name in ("r1", "r2", "gradient_penalty"))
    if any(weights.values()) or config.objective.penalty_every > 1:
        raise ValueError(f"penalties must be among the twins', got {weights}")
    powers = [buffer for name, buffer in disc.named_buffers() if name.endswith("u")]

    def update_disc(real: torch.Tensor, z: torch.Tensor, mix: torch.Tensor):
        with torch.no_grad():
            fake = gen(z)
        real, fake = real.detach().requires_grad_(r1 > 0), fake.requires_grad_(r2 > 0)
        real_logits = (penalized_disc if r1 else disc)(real)
        fake_logits = (penalized_disc if r2 else disc)(fake)
        total = value = disc_loss(config.objective.loss, real_logits, fake_logits)
        if r1:
            total = total + r1 / 2 * squared_slope(real_logits, real).mean()
        if r2:
            total = total + r2 / 2 * squared_slope(fake_logits, fake).mean()
        if gradient_penalty:
            e = mix[:, None, None, None]
            x = (e * real + (1 - e) * fake).requires_grad_()
            slope = squared_slope(penalized_disc(x), x).sqrt()
            total = total + gradient_penalty * (slope - 1).square().mean()
        disc_opt.zero_grad()
        total.backward()
        disc_opt.step()
        return value.detach(), (total - value).detach()

    def update_gen(real: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        saved = [power.clone() for power in powers]  # only the discriminator's updates change them
        disc.requires_grad_(False)
        fake_logits = disc(gen(z))
        value = gen_loss(
            config.objective.loss,
            disc(real) if config.objective.loss == "relativistic" else None,
            fake_logits,
        )
        gen_opt.zero_grad()
        value.backward()
        gen_opt.step()
        disc.requires_grad_(True)
        for power, old in zip(powers, saved, strict=True):
            power.copy_(old)
        return value.detach()

    def train_step(real: Sequence[torch.Tensor], noise: Noise) -> dict[str, torch.Tensor]:
        losses = [update_disc(*inputs) for inputs in zip(real, noise.disc, noise.mix, strict=True)]
        value, penalty = (torch.stack(column).mean() for column in zip(*losses, strict=True))
        return {
            "disc_loss": value,
            "penalty": penalty,
            "gen_loss": update_gen(real[-1], noise.gen),
        }

    return train_step
