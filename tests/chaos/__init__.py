"""Kills a training at its file events, one at a time; the same command then ends as without the kill.

``python -m tests.chaos FOLDER`` kills at every event of one training, ``python -m tests.chaos FOLDER 30`` at that many,
spread over all kinds and files. `make fuzz` takes every event too.
"""
