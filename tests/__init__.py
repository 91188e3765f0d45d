"""Tests, in folders named as the packages that they test; `helpers` holds what they share."""
