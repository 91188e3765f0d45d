"""Small networks of every kind."""

import importlib

from gan_jax.config import Config, Optimizer

SOUNDS = {"wavegan"}  # networks for audio [size, 2]; the others are for images [size, size, 2]
# By module: fields of small networks (both, the generator, the discriminator), and the fields that
# depend on the size of the examples, by size. Training tests use the first size.
SMALL = {
    "dcgan": ({"width": 2}, {"channels": 2}, {"norm": "spectral"}, {28: {}, 32: {}, 64: {}}),
    "mlp": (
        {"widths": (6, 5)},
        {"norm": "batch"},
        {"minibatch_std": 2},
        {8: {"shape": (8, 8, 2)}},
    ),
    "r3gan": (
        {"expansion": 1},
        {"channels": 2},
        {"embedding": 3},
        {
            12: {"widths": (4, 2), "cardinality": (2, 1), "blocks": (1, 1)},
            16: {"widths": (4, 4, 2), "cardinality": (2, 2, 1), "blocks": (1, 2, 1)},
        },
    ),
    "sngan": (
        {"width": 4},
        {"channels": 2},
        {},
        {32: {}, 48: {"attention": 24, "spectral": True}, 64: {}, 128: {}},
    ),
    "specgan": ({"width": 2}, {"channels": 2}, {}, {16: {}, 128: {}}),
    "stylegan2": (
        {"channel_max": 6, "mapping_layers": 1},
        {"channels": 2, "latent": 5, "w_dim": 6, "noise": False},
        {"minibatch_std": 3},
        {8: {}, 32: {}, 256: {}},
    ),
    "unet": (
        {"expansion": 1},
        {"channels": 2},
        {},
        {
            12: {"widths": (4, 2), "cardinality": (2, 1), "blocks": (1, 1)},
            16: {"widths": (4, 2), "cardinality": (2, 1), "blocks": (1, 1), "patch": 2},
        },
    ),
    "wavegan": (
        {"width": 2},
        {"channels": 2},
        {},
        {32: {"stages": 2}, 8192: {}, 16384: {}},
    ),
    "wgan_gp": ({"width": 4}, {"channels": 2}, {}, {28: {}, 32: {}, 64: {}}),
}
N, Z = 6, 5


def pair(name, size, classes=0, **fields):
    """Return small networks for examples of a size. Each uses the `fields` that it has."""
    module = importlib.import_module(f"gan_jax.networks.{name}")
    shared, gen, disc, sizes = SMALL[name]

    def make(cls, specific):
        # The hinge loss has no gradient for the bias of logits in (-1, 1).
        values = {"size": size, "length": size, "classes": classes, "last_bias": False}
        values |= {**shared, **sizes[size], **fields}
        values = {key: values[key] for key in values if key in cls.__dataclass_fields__}
        return cls(**values, **specific)

    return make(module.Generator, gen), make(module.Discriminator, disc)


def config(name, size, classes=0):
    """Return a config that trains the small networks with SGD."""
    gen, disc = pair(name, size, classes)
    # SGD updates are the gradients times the rate, which is larger where kernels are stored large.
    sgd = Optimizer("sgd", lr=1.0 if name == "stylegan2" else 1e-3, b1=0.0)
    base = Config(name=name, gen=gen, disc=disc, steps=3, gen_opt=sgd, disc_opt=sgd)
    return base.replace(batch_size=N, z_dim=Z, loss="hinge")
