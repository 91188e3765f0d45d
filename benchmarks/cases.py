"""Networks, batch sizes, losses and optimizers that are measured, those of their papers.

The images are the digits that scikit-learn includes, enlarged to 32x32 and, except for the MLP, in
three equal channels: the cost of a step does not depend on the content of images. Each
discriminator update has `batch_size` real examples and as many fakes, each generator update as many
fakes. A step is one update of each player, also where the paper has five discriminator updates,
since their cost is compared.
"""

import dataclasses

from experiments import digits_mlp, ring_mlp
from gan_jax.config import Config, ImageData, Objective, Optimizer, Penalties, Prior
from gan_jax.core.errors import UserError
from gan_jax.networks import dcgan, r3gan, sngan, wgan_gp

IMAGES = ImageData("digits", split="all", size=32, channels=3, symmetric=True)
WIDTHS, CARDINALITY = (64, 64, 64, 64), (8, 8, 8, 8)


@dataclasses.dataclass(frozen=True)
class Case:
    """Config to measure, and its populations."""

    config: Config
    members: tuple[int, ...] = (8,)
    """Sizes of the populations."""
    group_sizes: tuple[int, ...] = (1,)
    """Numbers of members trained at once, 0 for all; the fastest counts."""


def mlp_case() -> Case:
    """Return `digits_mlp` without penalty and moving average: non-saturating, Adam.

    Goodfellow et al. 2014, 1406.2661.
    """
    plain = digits_mlp.config.replace(
        penalties=Penalties(),
        ema_half_life=0.0,
        gen_opt=Optimizer(lr=2e-4, b1=0.5),
        disc_opt=Optimizer(lr=2e-4, b1=0.5),
        batch_size=64,
    )
    return Case(plain, members=(8, 16), group_sizes=(0, 2, 1))


def ring_case() -> Case:
    """Return `ring_mlp` with constant rates and without a moving average.

    It has next to nothing to compute, so the cost of dispatch is measured.
    """
    adam = Optimizer(lr=2e-3, b1=0.0, b2=0.99)
    plain = ring_mlp.config.replace(
        penalties=Penalties(r1=0.06, r2=0.06),
        ema_half_life=0.0,
        gen_opt=adam,
        disc_opt=adam,
    )
    return Case(plain, members=(8, 16), group_sizes=(0,))


def dcgan_case() -> Case:
    """Return DCGAN (Radford et al. 2016, 1511.06434) at 32x32 and half its width."""
    return Case(
        Config(
            name="dcgan",
            gen=dcgan.Generator(size=32, channels=3, width=64),
            disc=dcgan.Discriminator(size=32, width=64, norm="batch"),
            steps=1,
            data=IMAGES,
            objective=Objective(loss="non_saturating"),
            gen_opt=Optimizer(lr=2e-4, b1=0.5),
            disc_opt=Optimizer(lr=2e-4, b1=0.5),
            prior=Prior(dim=100),
            batch_size=64,
        )
    )


def sngan_case() -> Case:
    """Return the ResNet of SNGAN (Miyato et al. 2018, 1802.05957, appendix B.4)."""
    adam = Optimizer(lr=2e-4, b1=0.0, b2=0.9)
    return Case(
        Config(
            name="sngan",
            gen=sngan.Generator(size=32, channels=3, width=256),
            disc=sngan.Discriminator(size=32, width=128),
            steps=1,
            data=IMAGES,
            objective=Objective(loss="hinge"),
            gen_opt=adam,
            disc_opt=adam,
            prior=Prior(dim=128),
            batch_size=64,
        )
    )


def wgan_gp_case() -> Case:
    """Return the CIFAR ResNet of WGAN-GP (Gulrajani et al. 2017, 1704.00028, appendix C)."""
    adam = Optimizer(lr=2e-4, b1=0.0, b2=0.9)
    return Case(
        Config(
            name="wgan_gp",
            gen=wgan_gp.Generator(size=32, channels=3, width=128),
            disc=wgan_gp.Discriminator(size=32, width=128),
            steps=1,
            data=IMAGES,
            objective=Objective(loss="wasserstein", penalties=Penalties(gradient_penalty=10.0)),
            gen_opt=adam,
            disc_opt=adam,
            prior=Prior(dim=128),
            batch_size=64,
        )
    )


def r3gan_case() -> Case:
    """Return R3GAN (Huang et al. 2025, 2501.05441) with R1 and R2 at every step.

    Its four stages of two blocks have 64 channels each instead of 768, in groups of 16.
    """
    adam = Optimizer(lr=2e-4, b1=0.0, b2=0.99)
    return Case(
        Config(
            name="r3gan",
            gen=r3gan.Generator(size=32, channels=3, widths=WIDTHS, cardinality=CARDINALITY),
            disc=r3gan.Discriminator(size=32, widths=WIDTHS, cardinality=CARDINALITY),
            steps=1,
            data=IMAGES,
            objective=Objective(loss="relativistic", penalties=Penalties(r1=1.0, r2=1.0)),
            gen_opt=adam,
            disc_opt=adam,
            prior=Prior(dim=64),
            batch_size=64,
        )
    )


CASES = {
    "mlp": mlp_case,
    "ring": ring_case,
    "dcgan": dcgan_case,
    "sngan": sngan_case,
    "wgan_gp": wgan_gp_case,
    "r3gan": r3gan_case,
}


def load_case(name: str) -> Case:
    """Return a case by name.

    Raises:
        UserError: There is no case of this name.
    """
    if name not in CASES:
        raise UserError(f"networks must be among {', '.join(CASES)}, got {name!r}")
    return CASES[name]()
