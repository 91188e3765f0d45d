"""Sources of the documentation."""
