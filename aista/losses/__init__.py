"""Costs, optimal-transport solvers and alignment losses between speech and text states. PyTorch alone is enough."""
