"""Tunings, which select the trained parameters of a part: one file per registered component."""
