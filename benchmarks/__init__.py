"""What training costs: each network in each mode, beside PyTorch; and the loop around the step."""
