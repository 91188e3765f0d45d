"""Infrastructure without GAN code: errors, files, PRNG keys, devices, and processes."""
