"""Training: objectives, the train step, and the training loop."""
