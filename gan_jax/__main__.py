"""`python -m gan_jax` does the same as `gan-jax`."""

from gan_jax.cli.app import main

if __name__ == "__main__":
    main()
