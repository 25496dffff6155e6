"""The kinds of component that aista knows: what each does and what its factory is called with."""

from __future__ import annotations

from aista.registry import define_kind

define_kind(
    "encoder", "Speech encoder: audio -> frame states. factory(config, *, feature_dim)", "aista.modules.encoders"
)
define_kind(
    "adapter",
    "Length and modality adapter: frame states -> LLM positions. "
    "factory(config, *, input_dim, output_dim[, vocab_size])",
    "aista.modules.adapters",
    optional=("vocab_size",),
)
define_kind("llm", "Decoder-only language model. factory(config, *, vocab_size)", "aista.modules.llms")
define_kind("tuning", "How a part of the model is trained. factory(config)", "aista.modules.tuning")
define_kind("cost", "Pairwise cost between two sequences of states. factory(config)", "aista.losses.costs")
define_kind("mass", "Masses of states in optimal transport. factory(config)", "aista.losses.masses")
define_kind("ot_solver", "Optimal-transport solver. factory(config)", "aista.losses.ot")
define_kind("alignment_loss", "Loss between speech and text states of one layer. factory(config)", "aista.losses")
define_kind("weight_schedule", "A loss's weight over the steps. factory(config)", "aista.losses.schedules")
define_kind("layer_selection", "Chooses the layers to align. factory(config, *, num_layers)", "aista.selection")
define_kind("feature", "Waveform -> encoder input. factory(config)", "aista.data.features")
define_kind(
    "augmentation", "Training-time change of features, from a seed. factory(config)", "aista.data.augmentations"
)
define_kind(
    "encoder_cache", "Keeps the states of a frozen encoder. factory(config, *, identity)", "aista.data.encoder_caches"
)
define_kind("tokenizer", "Text <-> token ids. factory(config)", "aista.data.tokenizers")
define_kind("dataset", "Dataset preparation behind `aista data NAME`. factory(config)", "aista.corpora")
define_kind("metric", "Corpus score of hypotheses. factory(config, *, target_language)", "aista.scoring.metrics")
define_kind(
    "task", "Assembles components into a model and turns a batch into losses. factory(config, ...)", "aista.tasks"
)
