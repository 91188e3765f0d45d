"""The GANs that are measured: networks, batch, losses and optimisers of their papers.

The pictures are the digits that scikit-learn carries, enlarged to 32x32 and, but for the MLP,
in three equal channels: what a picture shows does not change what a step costs. Each critic update
sees `batch_size` reals and as many fakes; a generator's, as many fakes. A step is one update of
either, also where the paper has five of the critic: what is compared is their cost.
"""

import dataclasses

from experiments import digits_mlp, ring_mlp
from gan_jax.config import Config, ImageData, Objective, Optimizer, Penalties, Prior
from gan_jax.core.errors import UserError
from gan_jax.networks import dcgan, r3gan, sngan, wgan_gp

PICTURES = ImageData("digits", split="all", size=32, channels=3, symmetric=True)
WIDTHS, CARDINALITY = (64, 64, 64, 64), (8, 8, 8, 8)


@dataclasses.dataclass(frozen=True)
class Case:
    """A config to measure, and its populations."""

    config: Config
    members: tuple[int, ...] = (8,)
    """Sizes of the populations."""
    at_once: tuple[int, ...] = (1,)
    """Group sizes in which members are tried (0: all together); the quickest counts."""


def mlp_case() -> Case:
    """The article's pair on 28x28 digits (experiments/digits_mlp.py), without what was added to
    it: cross-entropy, non-saturating, Adam. Goodfellow et al. 2014, 1406.2661."""
    plain = digits_mlp.config.replace(
        penalties=Penalties(),
        ema_half_life=0.0,
        gen_opt=Optimizer(lr=2e-4, b1=0.5),
        disc_opt=Optimizer(lr=2e-4, b1=0.5),
        batch_size=64,
    )
    return Case(plain, members=(8, 16), at_once=(0, 2, 1))


def ring_case() -> Case:
    """The small MLPs of experiments/ring_mlp.py on points in the plane, with R1 and R2, at constant
    rates and without a moving average: next to nothing to compute, so what is measured is what
    it costs to say so."""
    adam = Optimizer(lr=2e-3, b1=0.0, b2=0.99)
    plain = ring_mlp.config.replace(
        penalties=Penalties(r1=0.06, r2=0.06),
        ema_half_life=0.0,
        gen_opt=adam,
        disc_opt=adam,
    )
    return Case(plain, members=(8, 16), at_once=(0,))


def dcgan_case() -> Case:
    """Radford et al. 2016 (1511.06434) at 32x32 and half its width; Adam 2e-4, beta1 0.5."""
    return Case(
        Config(
            name="dcgan",
            gen=dcgan.Generator(size=32, channels=3, width=64),
            disc=dcgan.Discriminator(size=32, width=64, norm="batch"),
            steps=1,
            data=PICTURES,
            objective=Objective(loss="non_saturating"),
            gen_opt=Optimizer(lr=2e-4, b1=0.5),
            disc_opt=Optimizer(lr=2e-4, b1=0.5),
            prior=Prior(dim=100),
            batch_size=64,
        )
    )


def sngan_case() -> Case:
    """The ResNet of Miyato et al. 2018 (1802.05957, appendix B.4) at its width; hinge, Adam 2e-4,
    beta1 0, beta2 0.9."""
    adam = Optimizer(lr=2e-4, b1=0.0, b2=0.9)
    return Case(
        Config(
            name="sngan",
            gen=sngan.Generator(size=32, channels=3, width=256),
            disc=sngan.Discriminator(size=32, width=128),
            steps=1,
            data=PICTURES,
            objective=Objective(loss="hinge"),
            gen_opt=adam,
            disc_opt=adam,
            prior=Prior(dim=128),
            batch_size=64,
        )
    )


def wgan_gp_case() -> Case:
    """The CIFAR ResNet of Gulrajani et al. 2017 (1704.00028, appendix C) at its width; gradient
    penalty 10, Adam 2e-4, beta1 0, beta2 0.9."""
    adam = Optimizer(lr=2e-4, b1=0.0, b2=0.9)
    return Case(
        Config(
            name="wgan_gp",
            gen=wgan_gp.Generator(size=32, channels=3, width=128),
            disc=wgan_gp.Discriminator(size=32, width=128),
            steps=1,
            data=PICTURES,
            objective=Objective(loss="wasserstein", penalties=Penalties(gradient_penalty=10.0)),
            gen_opt=adam,
            disc_opt=adam,
            prior=Prior(dim=128),
            batch_size=64,
        )
    )


def r3gan_case() -> Case:
    """Huang et al. 2025 (2501.05441) with R1 and R2 at every step, relativistic; its four stages of
    two blocks, but 64 channels each and not 768, in groups of its 16; Adam, beta1 0."""
    adam = Optimizer(lr=2e-4, b1=0.0, b2=0.99)
    return Case(
        Config(
            name="r3gan",
            gen=r3gan.Generator(size=32, channels=3, widths=WIDTHS, cardinality=CARDINALITY),
            disc=r3gan.Discriminator(size=32, widths=WIDTHS, cardinality=CARDINALITY),
            steps=1,
            data=PICTURES,
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


def case(name: str) -> Case:
    """The named one. Raises UserError for another name."""
    if name not in CASES:
        raise UserError(f"networks: {name!r} is not one of {', '.join(CASES)}")
    return CASES[name]()
