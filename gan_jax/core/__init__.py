"""Infrastructure that knows nothing about GANs: errors, keys, devices, files."""
