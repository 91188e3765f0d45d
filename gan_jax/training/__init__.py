"""Training: the step, the objectives, and the loop that repeats it."""
