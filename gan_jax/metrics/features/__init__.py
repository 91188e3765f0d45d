"""Features of pictures, by name: which networks look at them before the metrics do."""
