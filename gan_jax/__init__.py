"""gan_jax: a GAN is one pure function, `train_step(state, batch) -> (state, metrics)`.

Start reading at `gan_jax/training/step.py`.
"""

__version__ = "0.1.0"
