"""Comparisons that run several experiments, or ask a question of finished runs."""
