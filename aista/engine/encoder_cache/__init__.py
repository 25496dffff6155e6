"""A frozen encoder runs once per recording."""
