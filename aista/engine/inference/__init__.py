"""What trained runs are used for: translate, evaluate, probe."""
