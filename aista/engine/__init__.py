"""The engine: runs tasks on fairseq2's Trainer. The only room that imports ``fairseq2.recipe``.

Two orders matter and are settled here, before any module of the room: libsndfile is loaded before
fairseq2's C++ part, and ``fairseq2.recipe`` before ``fairseq2.trainer`` and its kin (a circular import
otherwise).
"""

from aista.native import preload_libsndfile

preload_libsndfile()

import fairseq2.recipe  # noqa: E402, F401
