"""Neural modules: encoders, adapters, language models, and the models that join them."""

from aista.native import preload_libsndfile

preload_libsndfile()  # before anything below imports fairseq2
