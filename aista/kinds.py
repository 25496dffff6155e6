"""The kinds of component that aista knows: what each does and what its factory is called with.

A factory is called as ``factory(config, **dependencies)`` and given those dependencies that its signature names.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["KINDS", "Kind"]


@dataclass(frozen=True)
class Kind:
    """A kind of interchangeable components.

    Attributes:
        name: As in configs, e.g. ``ot_solver``.
        summary: Description of such components.
        package: Package of the built-in ones, with a module per component, named as it is registered, or one
            module that holds them all.
        dependencies: Keyword arguments that a factory may take beside its options.
    """

    name: str
    summary: str
    package: str
    dependencies: tuple[str, ...] = ()


_ALL = (
    Kind("encoder", "Speech encoder: audio -> frame states.", "aista.modules.encoders", ("feature_dim",)),
    Kind(
        "adapter",
        "Length and modality adapter: frame states -> LLM positions.",
        "aista.modules.adapters",
        ("input_dim", "output_dim", "vocab_size"),
    ),
    Kind("llm", "Decoder-only language model.", "aista.modules.llms", ("vocab_size",)),
    Kind("tuning", "Which parameters of a part of the model are trained, and how.", "aista.modules.tuning"),
    Kind("cost", "Pairwise cost between two sequences of states.", "aista.losses.costs"),
    Kind("mass", "Masses of states in optimal transport.", "aista.losses.masses"),
    Kind("ot_solver", "Optimal-transport solver.", "aista.losses.solvers"),
    Kind("guide", "Probable positions of each transcript token in the speech.", "aista.losses.guides"),
    Kind("alignment_loss", "Loss between speech and text states of one layer.", "aista.losses"),
    Kind("weight_schedule", "Weight of a loss over the training steps.", "aista.losses.schedules"),
    Kind("layer_selection", "Chooses the layers to align.", "aista.selection", ("num_layers",)),
    Kind("feature", "Waveform -> encoder input.", "aista.data.features"),
    Kind("augmentation", "Random change of features in training, from a seed.", "aista.data.augmentations"),
    Kind("segmenter", "Cuts long recordings for `aista translate --segment`.", "aista.data.segmenters"),
    Kind("encoder_cache", "Stores the output states of a frozen encoder.", "aista.data.encoder_caches", ("identity",)),
    Kind("stream", "Layout of sharded training data.", "aista.data.streams"),
    Kind("tokenizer", "Text <-> token ids.", "aista.data.tokenizers"),
    Kind("source", "Layout of corpora that `aista data import` reads.", "aista.data.sources"),
    Kind("dataset", "Dataset preparation behind `aista data NAME`.", "aista.corpora"),
    Kind("metric", "Corpus score of hypotheses.", "aista.scoring.metrics", ("target_language",)),
    Kind("tracker", "Experiment tracker that receives a run's metrics.", "aista.tracking"),
    Kind(
        "task",
        "Assembles components into a model and turns a batch into losses.",
        "aista.tasks",
        ("tokenizer", "feature"),
    ),
)

KINDS: dict[str, Kind] = {kind.name: kind for kind in _ALL}
"""Every kind by its name."""
