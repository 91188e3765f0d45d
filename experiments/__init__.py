"""Recipes, one per file: presets, commands, and implementation details."""
