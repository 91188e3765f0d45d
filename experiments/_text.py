"""Parts shared by the text recipes: RelGAN's generator, and an LSTM trained by likelihood."""

from gan_jax.config import Config, Objective, Optimizer, Pretrain, Prior, TextData
from gan_jax.networks import lstm, relgan, sequence


def relgan_generator(
    data: TextData, *, head_size: int, beta_end: float, beta_steps: int
) -> sequence.Generator:
    """Return RelGAN's generator for sentences of `data` (Nie et al. 2019).

    Args:
        data: Data set, whose `tokens` and `vocabulary` are those of the generator.
        head_size: Width of each of the memory's two heads.
        beta_end: Last inverse temperature; the first one is 1.
        beta_steps: Number of train steps from the first to the last inverse temperature.

    Returns:
        The generator.
    """
    return sequence.Generator(
        relgan.RelationalMemory(slots=1, heads=2, head_size=head_size),
        length=data.tokens,
        vocabulary=data.vocabulary,
        embedding=32,
        beta_end=beta_end,
        beta_steps=beta_steps,
    )


def lstm_by_likelihood(
    name: str,
    data: TextData,
    *,
    hidden: int,
    steps: int,
    lr: float,
) -> Config:
    """Return the config of an LSTM that is trained by likelihood alone.

    A config needs a discriminator. This one is the smallest possible and is never trained.

    Args:
        name: Name of the config.
        data: Data set, whose `tokens` and `vocabulary` are those of the generator.
        hidden: Width of the LSTM.
        steps: Number of train steps, in batches of 64.
        lr: Adam's learning rate.

    Returns:
        The config.
    """
    adam = Optimizer(lr=lr, b1=0.9)
    return Config(
        name=name,
        gen=sequence.Generator(
            lstm.Cell(hidden), length=data.tokens, vocabulary=data.vocabulary, embedding=32
        ),
        disc=relgan.Discriminator(embedding=1, representations=1, filters=1, sizes=(2,), hidden=1),
        steps=steps,
        data=data,
        objective=Objective(loss="relativistic"),
        gen_opt=adam,
        pretrain=Pretrain(steps, adam, clip=5.0),
        prior=Prior(dim=2, distribution="key"),
        batch_size=64,
    )
