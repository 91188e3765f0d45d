"""Recipes, one per file: presets, and a docstring with commands and implementation details."""
