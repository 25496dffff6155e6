"""Tools for developers and offline examples; not part of the wheel."""
