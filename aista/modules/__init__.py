"""Neural modules: encoders, adapters, language models, and the models that join them."""
