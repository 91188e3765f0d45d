"""gan_jax/training/step.py in PyTorch, as its users write it: the same losses, penalties and order.

What its users do to be quick is done: no graph of the generator in the critic's updates, no
gradients of the critic's weights in the generator's, one pass for a critic's logits and their slope
where both are of the same pictures, Adam fused. Unlike ours it checks no update for being finite.
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
    """All that is random in a step but the order of examples."""

    critic: torch.Tensor
    """z of the critic's updates [n_critic, n, z_dim]."""
    mix: torch.Tensor
    """Of gradient_penalty: the share of the reals [n_critic, n], uniform."""
    gen: torch.Tensor
    """z of the generator's update [n, z_dim]."""


def draw(config: Config) -> Noise:
    """New noise, from PyTorch's own generator."""
    n, n_critic = config.batch_size, config.n_critic
    z = torch.randn(n_critic + 1, n, config.prior.dim)
    return Noise(z[:-1], torch.rand(n_critic, n), z[-1])


def disc_loss(name: str, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """The critic's half of the loss."""
    match name:
        case "non_saturating":
            return softplus(-real).mean() + softplus(fake).mean()
        case "hinge":
            return relu(1 - real).mean() + relu(1 + fake).mean()
        case "wasserstein":
            return fake.mean() - real.mean()
        case "relativistic":
            return softplus(fake - real).mean()
    raise ValueError(f"the twins have no loss {name!r}")


def gen_loss(name: str, real: torch.Tensor | None, fake: torch.Tensor) -> torch.Tensor:
    """The generator's half; `real` only for relativistic losses."""
    if name == "non_saturating":
        return softplus(-fake).mean()
    return -fake.mean() if real is None else softplus(real - fake).mean()


def squared_slope(logits: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """|grad_x f(x_i)|^2 [n], itself to be differentiated."""
    (slope,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    return slope.square().flatten(1).sum(1)


def adam(optimizer: Optimizer, network: nn.Module) -> torch.optim.Optimizer:
    """The network's optimiser."""
    if optimizer.name != "adam":
        raise ValueError(f"the twins train by adam, not {optimizer.name}")
    lr, b2 = float(schedules.value_at(optimizer.lr, 0)), float(schedules.value_at(optimizer.b2, 0))
    betas = (optimizer.b1, b2)
    return torch.optim.Adam(network.parameters(), lr, betas, optimizer.eps, fused=True)


def make_train_step(
    config: Config,
    gen: nn.Module,
    disc: nn.Module,
    sloped: nn.Module | None = None,
) -> Callable[[Sequence[torch.Tensor], Noise], dict[str, torch.Tensor]]:
    """step(real n_critic x [n, c, h, w], noise) -> losses: trains the two networks in place.

    `gen` and `disc` may be compiled; `sloped` is then the critic that penalties differentiate, as
    compiled ones have no second derivatives. Gradients stay in the parameters' `grad`.
    """
    critic = disc if sloped is None else sloped
    gen_opt, disc_opt = adam(config.gen_opt, gen), adam(config.disc_opt, disc)
    weights = {
        field.name: float(schedules.value_at(getattr(config.objective.penalties, field.name), 0))
        for field in dataclasses.fields(config.objective.penalties)
    }
    r1, r2, mixed = (weights.pop(name) for name in ("r1", "r2", "gradient_penalty"))
    if any(weights.values()) or config.objective.penalty_every > 1:
        raise ValueError(f"the twins have no such penalties: {weights}")
    powers = [buffer for name, buffer in disc.named_buffers() if name.endswith("u")]

    def update_disc(real: torch.Tensor, z: torch.Tensor, mix: torch.Tensor):
        with torch.no_grad():
            fake = gen(z)
        real, fake = real.detach().requires_grad_(r1 > 0), fake.requires_grad_(r2 > 0)
        real_logits = (critic if r1 else disc)(real)
        fake_logits = (critic if r2 else disc)(fake)
        total = value = disc_loss(config.objective.loss, real_logits, fake_logits)
        if r1:
            total = total + r1 / 2 * squared_slope(real_logits, real).mean()
        if r2:
            total = total + r2 / 2 * squared_slope(fake_logits, fake).mean()
        if mixed:
            e = mix[:, None, None, None]
            between = (e * real + (1 - e) * fake).requires_grad_()
            slope = squared_slope(critic(between), between).sqrt()
            total = total + mixed * (slope - 1).square().mean()
        disc_opt.zero_grad()
        total.backward()
        disc_opt.step()
        return value.detach(), (total - value).detach()

    def update_gen(real: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        before = [power.clone() for power in powers]  # only the critic's updates move them
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
        for power, old in zip(powers, before, strict=True):
            power.copy_(old)
        return value.detach()

    def train_step(real: Sequence[torch.Tensor], noise: Noise) -> dict[str, torch.Tensor]:
        losses = [
            update_disc(*inputs) for inputs in zip(real, noise.critic, noise.mix, strict=True)
        ]
        value, penalty = (torch.stack(column).mean() for column in zip(*losses, strict=True))
        return {
            "disc_loss": value,
            "penalty": penalty,
            "gen_loss": update_gen(real[-1], noise.gen),
        }

    return train_step
