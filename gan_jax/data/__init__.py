"""Data: sources of examples, and the order in which a run sees them."""
