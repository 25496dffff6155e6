"""Transport solvers beside their peers: one step of each, checked against float64 first, then timed in turns."""
