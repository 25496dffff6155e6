"""A Hugging Face causal language model behind aista's interface; imports transformers."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from aista.modules.generation import beam_search, evaluating, left_pad
from aista.modules.llms.base import GenerationConfig, LanguageModel
from aista.modules.llms.beam_cache import BeamCache
from aista.modules.llms.sdpa_attention import NAME, rows_without_padding
from aista.modules.transformers_versions import states_of
from aista.types import Hypothesis, length_mask, zero_padding

__all__ = ["HuggingFaceLM"]

_UNLIMITED = 1 << 30


class HuggingFaceLM(LanguageModel):
    """A loaded ``AutoModelForCausalLM``, its parts found without knowing the architecture.

    - the *body* (all but the output projection) is the model's only child that is a PreTrainedModel
      itself (``base_model`` is not set right by all architectures, e.g. Gemma 3);
    - the *blocks* are the ``nn.ModuleList`` nearest to the body's root with ``num_hidden_layers`` members;
    - states are taken by hooks on the blocks, set for one call: before block 0, and behind block k.

    Wrappers that replace members of ``layers`` (activation checkpointing, FSDP2) are seen, because the
    hooks go onto what is in the list at that time. Adapters such as LoRA can be injected into ``model``
    before it is given to this class.

    Attributes:
        joins_rows: Whether rows are concatenated without padding where that is faster, on a CPU; False uses padded
            rows, as on other devices.
    """

    def __init__(self, model: nn.Module, vocab_size: int) -> None:
        super().__init__()
        hf: Any = model
        self.model = model
        self.text_config = hf.config.get_text_config()
        self.num_tokens = vocab_size
        self.model_dim = self.text_config.hidden_size
        self.num_layers = self.text_config.num_hidden_layers
        self.max_positions = getattr(self.text_config, "max_position_embeddings", None) or _UNLIMITED
        self._body_name = _find_body(model)
        self._blocks_path = _find_blocks(self._body, self.num_layers)
        width = hf.get_input_embeddings().weight.size(1)
        if width != self.model_dim or getattr(model, "_is_stateful", False):
            raise ValueError(
                f"{type(model).__name__} is not supported: "
                + (
                    f"its embeddings have width {width} and its blocks {self.model_dim}"
                    if width != self.model_dim
                    else "it keeps a recurrent state, which left-padded decoding would corrupt"
                )
                + "; choose a transformer such as LLaMA, Qwen, GPT-2 or Gemma"
            )
        self._takes_positions = "position_ids" in inspect.signature(self._body.forward).parameters
        self.joins_rows = True
        self._joins_up_to = 0
        if hf.config._attn_implementation == "sdpa" and getattr(model, "_supports_attention_backend", False):
            hf.set_attn_implementation(NAME)
            is_set = self.text_config._attn_implementation == NAME
            if is_set and self._takes_positions and not _builds_own_masks(model):
                self._joins_up_to = _shortest_window(self.text_config)

    @property
    def layers(self) -> nn.ModuleList:
        blocks: Any = self._body.get_submodule(self._blocks_path)
        return blocks  # type: ignore[no-any-return]

    def embed(self, ids: Tensor) -> Tensor:
        """Token ids -> embeddings as the body takes them (Gemma 1 and 2 scale inside of it)."""
        hf: Any = self.model
        embeddings: Tensor = hf.get_input_embeddings()(ids)
        return embeddings

    def forward(
        self, embeddings: Tensor, lengths: Tensor, *, capture: Sequence[int] = (), stop_at_capture: bool = False
    ) -> tuple[Tensor | None, tuple[Tensor, ...]]:
        self.check_capture(capture)
        self.check_positions(lengths, embeddings.size(1))
        captured: dict[int, Tensor] = {}
        stop = max(capture, default=0) if stop_at_capture else None
        joined = self._joins_rows(embeddings, lengths)
        with self._hooks(captured, capture, stop):
            try:
                final = self._run_joined(embeddings, lengths) if joined else self._run_padded(embeddings, lengths)
            except _Stop:
                final = None
        states = tuple(captured[layer] for layer in capture)
        if joined:
            places = length_mask(lengths, embeddings.size(1)).nonzero(as_tuple=True)
            states = tuple(_spread(state, places, embeddings) for state in states)
            final = None if final is None else _spread(final, places, embeddings)
        return final, states

    def normalize(self, states: Tensor) -> Tensor:
        """Apply the final norm. Raises ValueError where that module cannot be identified."""
        normalized: Tensor = _find_norm(self._body, self._blocks_path)(states)
        return normalized

    def project(self, states: Tensor) -> Tensor:
        """Final states -> logits, with the scaling and soft capping of some architectures."""
        hf: Any = self.model
        logits: Tensor = hf.get_output_embeddings()(states)
        scale = getattr(self.text_config, "logit_scale", None)  # Cohere
        logits = logits if scale is None else logits * scale
        divisor = getattr(self.text_config, "logits_scaling", None)  # Granite
        logits = logits if divisor is None else logits / divisor
        cap = getattr(self.text_config, "final_logit_softcapping", None)  # Gemma 2
        return logits if cap is None else torch.tanh(logits / cap) * cap

    def generate(
        self, embeddings: Tensor, lengths: Tensor, config: GenerationConfig, *, eos_id: int, pad_id: int
    ) -> list[list[Hypothesis]]:
        self.check_positions(lengths, embeddings.size(1), new_tokens=config.max_new_tokens)
        with evaluating(self):
            decoding = _HuggingFaceDecoding(self, len(embeddings), embeddings.size(1) + config.max_new_tokens)
            logits = decoding.prefill(embeddings, lengths)
            return beam_search(logits, decoding, config, eos_id=eos_id, pad_id=pad_id, num_tokens=self.num_tokens)

    @property
    def _body(self) -> nn.Module:
        return self.model.get_submodule(self._body_name)

    def _joins_rows(self, embeddings: Tensor, lengths: Tensor) -> bool:
        """Whether to leave out the padding; measured to be faster on CPUs only."""
        fits = self.joins_rows and self._joins_up_to >= embeddings.size(1)
        return fits and embeddings.device.type == "cpu" and int(lengths.sum()) < embeddings.size(0) * embeddings.size(1)

    def _run_joined(self, embeddings: Tensor, lengths: Tensor) -> Tensor:
        """``[1, T, D]`` final states of all rows, one after the other."""
        rows, columns = length_mask(lengths, embeddings.size(1)).nonzero(as_tuple=True)
        with rows_without_padding(lengths.tolist()) as row_lengths:
            output = self._run(
                embeddings[rows, columns][None], position_ids=columns[None], row_lengths=row_lengths, use_cache=False
            )
        final: Tensor = output.last_hidden_state
        return final

    def _run_padded(self, embeddings: Tensor, lengths: Tensor) -> Tensor:
        # Right padding is invisible to a causal model: no mask, and so the fused attention kernel.
        final: Tensor = self._run(zero_padding(embeddings, lengths), use_cache=False).last_hidden_state
        return final

    def _run(self, embeddings: Tensor, **arguments: Any) -> Any:
        return self._body(
            inputs_embeds=embeddings,
            output_hidden_states=False,
            output_attentions=False,
            return_dict=True,
            **arguments,
        )

    @contextmanager
    def _hooks(self, states: dict[int, Tensor], capture: Sequence[int], stop: int | None) -> Iterator[None]:
        """Record the states of captured layers by hooks; raise ``_Stop`` at layer ``stop``.

        The exception passes through no block and no block's hook: it is raised before block 0 begins or
        after block k has ended, so checkpointing and sharding wrappers of the blocks are in a clean state.
        """

        def before(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            states[0] = args[0] if args else kwargs["hidden_states"]
            if stop == 0:
                raise _Stop

        def behind(layer: int) -> Any:
            def hook(_module: nn.Module, _args: Any, output: Any) -> None:
                states[layer] = states_of(output)
                if stop == layer:
                    raise _Stop

            return hook

        blocks = self.layers
        wanted = {*capture, *(() if stop is None else (stop,))}
        # In front of FSDP2's own hook: a stop at layer 0 must not leave block 0 gathered.
        handles = [blocks[0].register_forward_pre_hook(before, prepend=True, with_kwargs=True)] if 0 in wanted else []
        handles += [blocks[layer - 1].register_forward_hook(behind(layer)) for layer in sorted(wanted - {0})]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


class _Stop(Exception):  # noqa: N818 - not an error
    """Ends a pass at the deepest captured layer."""


class _HuggingFaceDecoding:
    """Keys and values of prompts padded on the left, as Hugging Face's own generation keeps them."""

    def __init__(self, model: HuggingFaceLM, prompts: int, positions: int) -> None:
        self.model = model
        self.cache = BeamCache(model.text_config, prompts, positions)
        self.content = torch.empty(0)

    def prefill(self, embeddings: Tensor, lengths: Tensor) -> Tensor:
        embeddings, self.content = left_pad(embeddings, lengths)
        return self._next_logits(embeddings)

    def step(self, tokens: Tensor) -> Tensor:
        self.content = functional.pad(self.content, (0, 1), value=True)
        return self._next_logits(self.model.embed(tokens[:, None]))

    def reorder(self, order: Tensor) -> None:
        self.cache.reorder_cache(order)
        self.content = self.content.index_select(0, order)

    def _next_logits(self, embeddings: Tensor) -> Tensor:
        arguments: dict[str, Any] = {}
        if self.model._takes_positions:
            positions = (self.content.long().cumsum(dim=1) - 1).clamp(min=0)
            arguments["position_ids"] = positions[:, -embeddings.size(1) :]
        output = self.model._run(
            embeddings, attention_mask=self.content.long(), past_key_values=self.cache, use_cache=True, **arguments
        )
        return self.model.project(output.last_hidden_state[:, -1])


def _spread(states: Tensor, places: tuple[Tensor, ...], like: Tensor) -> Tensor:
    """``[1, T, D]`` states of joined rows -> ``[B, N, D]``, zero in the padding."""
    return states.new_zeros(like.shape).index_put(places, states[0])


def _builds_own_masks(model: nn.Module) -> bool:
    """Whether the model is of an older kind that applies a causal mask itself."""
    return any(hasattr(module, "_update_causal_mask") for module in model.modules())


def _shortest_window(config: Any) -> int:
    """The shortest attention window, in positions; longer sequences need a mask."""
    windows = (getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size"))
    return min((window for window in windows if window), default=_UNLIMITED)


def _find_body(model: nn.Module) -> str:
    names = [name for name, child in model.named_children() if isinstance(child, PreTrainedModel)]
    if len(names) != 1:
        raise ValueError(
            f"{type(model).__name__} is not supported: expects one model without head inside, "
            f"found {', '.join(names) or 'none'}; choose a transformer such as LLaMA, Qwen, GPT-2 or Gemma"
        )
    return names[0]


def _find_norm(body: nn.Module, blocks_path: str) -> nn.Module:
    """The final norm: the only norm outside the blocks that is not named after the embeddings."""
    beside = body.get_submodule(blocks_path.rpartition(".")[0])
    norms = {
        name: child
        for name, child in beside.named_children()
        if "norm" in type(child).__name__.lower() and "embed" not in name
    }
    if len(norms) != 1:
        raise ValueError(
            f"{type(body).__name__}: expects one norm after the blocks, found {', '.join(norms) or 'none'}; "
            "logit-lens measures need it"
        )
    return next(iter(norms.values()))


def _find_blocks(body: nn.Module, num_layers: int) -> str:
    lists: list[str] = [
        name for name, module in body.named_modules() if isinstance(module, nn.ModuleList) and len(module) == num_layers
    ]
    depth = min((name.count(".") for name in lists), default=0)
    nearest = [name for name in lists if name.count(".") == depth]
    if len(nearest) != 1:
        candidates = ", ".join(nearest) or "none"
        raise ValueError(
            f"{type(body).__name__} is not supported: expects one list of {num_layers} blocks, found {candidates}; "
            f"choose a transformer such as LLaMA, Qwen, GPT-2 or Gemma"
        )
    return nearest[0]
