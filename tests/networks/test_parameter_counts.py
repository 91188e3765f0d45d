"""Parameter counts and output shapes of every network at every size, and their sources.

Nothing is computed: only shapes are traced.
"""

import importlib
import itertools

import jax
import jax.numpy as jnp
import pytest

from gan_jax.networks import r3gan


def trace(network, shape, classes):
    """Return the number of initial parameters, and the output's shape and dtype."""
    cond = jnp.zeros(shape[0], jnp.int32) if classes else None
    x = jax.ShapeDtypeStruct(shape, jnp.float32)
    output, variables = jax.eval_shape(
        lambda x: network.init_with_output(jax.random.key(0), x, cond, train=True), x
    )
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"])), output


# Sources: kwotsin/mimicry 0.1.16 for SNGAN, its projection and SAGAN (4,276,739 and 1,053,825 for
# CIFAR-10 are also those of pfnet-research/sngan_projection); igul222/improved_wgan_training,
# gan_cifar_resnet.py, for WGAN-GP; PyTorch's example for DCGAN at 64 pixels. Numbers without
# underscores are from our own formulas.


def biases(*features):
    """Biases that our networks omit: those of three convolutions per generator block."""
    return 3 * sum(features)


def scales(*channels):
    """Scales and offsets of 9 additional classes in batch norms with these channels."""
    return 9 * 2 * sum(channels)


CHANNELS_128 = (1024, 1024, 1024, 512, 512, 256, 256, 128, 128, 64)
CHANNELS_48 = (512, 256, 256, 128, 128, 64)
CHANNELS_64 = CHANNELS_128[2:]
BLOCKS_128 = biases(1024, 512, 256, 128, 64)
BLOCKS_64 = biases(512, 256, 128, 64)
BLOCKS_48 = biases(256, 128, 64)
WIDE, AUXILIARY = {"width": 64}, {"auxiliary": True}
SAGAN_32 = {"attention": 16, "spectral": True}
SAGAN_128 = {"attention": 32, "spectral": True, **WIDE}


def attention(c):
    """Convolutions to c/8 twice, to c/2 and back, and gamma."""
    return 2 * c * (c // 8) + 2 * c * (c // 2) + 1


def up(c):
    """Block of WGAN-GP's generator: two batch norms, two 3x3 convolutions and a shortcut."""
    return 2 * 2 * c + 2 * 9 * c * c + c * c


def down(c):
    """Block of WGAN-GP's critic that halves the image."""
    return 2 * (9 * c * c + c) + c * c + c


# DCGAN: kernels, two vectors of every batch norm, and biases of the colors, of the discriminator's
# first stage and of its logit.
DCGAN_28 = 100 * 49 * 128 + 16 * (128 * 64 + 64 * 3) + 2 * (128 + 64) + 3
DCGAN_32 = 100 * 16 * 256 + 16 * (256 * 128 + 128 * 64 + 64 * 3) + 2 * (256 + 128 + 64) + 3
DCGAN_64 = 3_576_704 + 3
DCGAN_D28 = 16 * (3 * 64 + 64 * 128) + 2 * 128 + 64 + 49 * 128 + 1
DCGAN_D32 = 16 * (3 * 64 + 64 * 128 + 128 * 256) + 2 * (128 + 256) + 64 + 16 * 256 + 1
DCGAN_D64 = 2_765_568 + 64 + 1

WGAN, CRITIC = 1_204_483 - biases(128, 128, 128), 1_053_825

# WaveGAN and SpecGAN: the layers of chrisdonahue/wavegan, wavegan.py and specgan.py, whose kernels
# of 25 and of 5x5 have equally many weights. Its training prints the sums.
GENERATOR_25 = 101 * 16384 + sum(25 * 2 * c * c + c for c in (512, 256, 128, 64)) + 25 * 64 + 1
DISCRIMINATOR_25 = 25 * 64 + 64 + sum(25 * 2 * c * c + 2 * c for c in (64, 128, 256, 512)) + 16385

# Size, classes, fields of the networks, and parameters of generator and discriminator.
TABLE = {
    "dcgan": [
        (28, 0, {}, DCGAN_28, DCGAN_D28),
        (32, 0, {}, DCGAN_32, DCGAN_D32),
        (64, 0, {}, DCGAN_64, DCGAN_D64),
        # Classes are appended to z, and to the image as planes; or to an auxiliary classifier.
        (28, 10, {}, DCGAN_28 + 10 * 49 * 128, DCGAN_D28 + 10 * 16 * 64),
        (32, 10, {}, DCGAN_32 + 10 * 16 * 256, DCGAN_D32 + 10 * 16 * 64),
        (64, 10, {}, DCGAN_64 + 10 * 16 * 512, DCGAN_D64 + 10 * 16 * 64),
        (64, 10, AUXILIARY, DCGAN_64 + 10 * 16 * 512, DCGAN_D64 + 10 * (16 * 512 + 1)),
    ],
    "wgan_gp": [
        (28, 0, {}, WGAN - up(128) + (49 - 16) * 129 * 128, CRITIC),
        (32, 0, {}, WGAN, CRITIC),
        (64, 0, {}, WGAN + up(128), CRITIC + down(128)),
        (32, 10, {}, WGAN + scales(128, 128, 128, 128, 128, 128), CRITIC + 10 * 128),
        (32, 10, AUXILIARY, WGAN + scales(128, 128, 128, 128, 128, 128), CRITIC + 10 * 129),
    ],
    "sngan": [
        (32, 0, {}, 4_276_739 - biases(256, 256, 256), 1_053_825),
        (48, 0, WIDE, 4_878_083 - BLOCKS_48, 10_141_441),
        (64, 0, WIDE, 12_220_675 - BLOCKS_64, 10_141_441),
        (128, 0, WIDE, 32_150_787 - BLOCKS_128, 29_017_857),
        (32, 10, {}, 4_304_387 - biases(256, 256, 256), 1_055_105),
        (48, 10, WIDE, 4_878_083 - BLOCKS_48 + scales(*CHANNELS_48), 10_141_441 + 10 * 1024),
        (64, 10, WIDE, 12_220_675 - BLOCKS_64 + scales(*CHANNELS_64), 10_141_441 + 10 * 1024),
        (128, 10, WIDE, 32_239_491 - BLOCKS_128, 29_017_857 + 10 * 1024),
        # SAGAN. At 128 pixels mimicry's discriminator is narrower than the paper's.
        (32, 10, SAGAN_32, 4_386_308 - biases(256, 256, 256), 1_075_586),
        (128, 10, SAGAN_128, 32_321_412 - BLOCKS_128, 29_017_857 + 10 * 1024 + attention(128)),
    ],
}


def name_of(row):
    module, size, classes, fields, *_ = row
    kind = "auxiliary" if "auxiliary" in fields else "conditional" if classes else "unconditional"
    return f"{module}-{size}-{kind}" + ("-attention" if "attention" in fields else "")


@pytest.mark.parametrize(
    "row", [(module, *row) for module, rows in TABLE.items() for row in rows], ids=name_of
)
def test_parameters_and_outputs(row):
    module, size, classes, fields, generator, discriminator = row
    networks = importlib.import_module(f"gan_jax.networks.{module}")
    fields = {"size": size, "classes": classes, "last_bias": True, **fields}
    z_dim = 100 if module == "dcgan" else 128

    def make(cls):
        return cls(**{key: fields[key] for key in fields if key in cls.__dataclass_fields__})

    count, images = trace(make(networks.Generator), (2, z_dim), classes)
    assert (images.shape, images.dtype) == ((2, size, size, 3), jnp.float32)
    assert count == generator
    count, logits = trace(make(networks.Discriminator), (2, size, size, 3), classes)
    assert (logits.shape, logits.dtype) == ((2,), jnp.float32)
    assert count == discriminator


# R3GAN's FFHQ-256: seven stages from 4x4, groups of 16 channels inside the blocks (2501.05441,
# appendix). Smaller images use only its last stages.
FFHQ = (768, 768, 768, 768, 384, 192, 96)
R3GAN = {
    4: FFHQ[-1:],
    10: FFHQ[-2:],
    28: FFHQ[-3:],
    32: (768,) * 4,  # CIFAR-10's
    56: FFHQ[-4:],
    64: FFHQ[-5:],
    128: FFHQ[-6:],
    256: FFHQ,
}


def blocks(widths):
    """Parameters of two blocks per stage, and of convolutions between different widths.

    A block has a 1x1 convolution to twice the width, 3x3 in groups of 16, 1x1 back, and two vectors
    of biases. 1x1 convolutions change the width between stages.
    """
    block = sum(2 * (2 * w * 2 * w + 9 * 2 * w * 16 + 2 * 2 * w) for w in widths)
    return block + sum(a * b for a, b in itertools.pairwise(widths) if a != b)


@pytest.mark.parametrize("size", R3GAN)
@pytest.mark.parametrize("classes", [0, 10])
def test_r3gan(size, classes):
    widths = R3GAN[size]
    area = (size >> (len(widths) - 1)) ** 2
    fields = {
        "size": size,
        "widths": widths,
        "cardinality": tuple(w // 8 for w in widths),
        "blocks": (2,) * len(widths),
        "classes": classes,
    }
    z_dim = embedding = 64
    count, images = trace(r3gan.Generator(**fields), (2, z_dim), classes)
    assert (images.shape, images.dtype) == ((2, size, size, 3), jnp.float32)
    start = (z_dim + (embedding if classes else 0)) * widths[0] + classes * embedding
    assert count == blocks(widths) + area * widths[0] + start + 3 * widths[-1]
    count, logits = trace(r3gan.Discriminator(**fields), (2, size, size, 3), classes)
    assert (logits.shape, logits.dtype) == ((2,), jnp.float32)
    end = widths[0] * (embedding if classes else 1) + classes * embedding
    assert count == blocks(widths) + area * widths[0] + end + 3 * widths[-1]


@pytest.mark.parametrize("classes", [0, 10])
@pytest.mark.parametrize(
    ("module", "fields", "shape", "missing"),
    [
        ("wavegan", {"length": 16384}, (16384, 1), 0),
        ("wavegan", {"length": 8192}, (8192, 1), 8),  # fewer positions in the first stage
        ("specgan", {"size": 128}, (128, 128, 1), 0),
    ],
)
def test_wavegan_and_specgan(module, fields, shape, missing, classes):
    networks = importlib.import_module(f"gan_jax.networks.{module}")
    count, output = trace(networks.Generator(classes=classes, **fields), (2, 100), classes)
    assert (output.shape, output.dtype) == ((2, *shape), jnp.float32)
    assert count == GENERATOR_25 + classes * 16384 - missing * 1024 * (101 + classes)
    discriminator = networks.Discriminator(classes=classes, **fields)
    count, logits = trace(discriminator, (2, *shape), classes)
    assert (logits.shape, logits.dtype) == ((2,), jnp.float32)
    assert count == DISCRIMINATOR_25 + classes * 16384 - missing * 1024 * (1 + classes)


def test_r3gan_published():
    """The paper's table for FFHQ-256 has 23.06 million in the generator (config E)."""
    generator = blocks(FFHQ) + (16 + 64) * 768 + 3 * 96  # compared with the network above
    assert round(generator / 1e6, 2) == 23.06
