"""Networks: `layers.py`, and one paper a file."""
