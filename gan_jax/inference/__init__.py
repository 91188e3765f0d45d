"""Uses of a trained generator: sampling, editing, inversion, inpainting, export."""
