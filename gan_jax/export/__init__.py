"""A trained generator as one file that needs this project no more: `gan-jax export`.

write.py makes it, generator.py lies inside and is all that reads it, portable.py puts it in the
place of a run folder, weights.py writes the numbers alone, as safetensors.
"""
