"""Feature extractors of images, selected by name, that metrics are computed on."""
