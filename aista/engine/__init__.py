"""The engine: runs tasks on fairseq2's Trainer. The only subpackage that imports ``fairseq2.recipe``.

- ``training``: a run from its config to its last checkpoint;
- ``inference``: what a trained run is used for: translation, evaluation, probing;
- ``encoder_cache``: a frozen encoder runs once per recording;
- ``cost``: what a run would cost, without running it;
- ``export``: a trained run as one folder, and back.

All of them read a run's data through ``inputs`` and its weights through ``checkpoints``.

Two orders matter and are fixed here, before any module of the subpackage: libsndfile is loaded before
fairseq2's C++ part, and ``fairseq2.recipe`` before ``fairseq2.trainer`` and its kin (a circular import
otherwise). Where fairseq2 is not installed, the arithmetic of ``cost`` can be imported and nothing else.
"""

from contextlib import suppress

from aista.native import preload_libsndfile

preload_libsndfile()

with suppress(ModuleNotFoundError):  # whatever needs it imports it itself and says so
    import fairseq2.recipe  # noqa: F401
