"""Caching of a frozen encoder's states, so that it runs once per recording."""
