"""An ablation: its plan from a file, the sweep that trains and scores it, and the table that compares its runs."""
