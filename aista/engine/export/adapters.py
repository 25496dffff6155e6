"""The LoRA of an exported language model in peft's own layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from aista.engine.export.weights import save_weights
from aista.files import write_json
from aista.modules.tuning.lora import LoraConfig
from aista.tasks.parts import TunedPart

__all__ = ["PEFT_FILE", "from_peft", "has_peft_layout", "save_peft"]

PEFT_FILE = "adapter_model.safetensors"
_OURS, _THEIRS = "llm.model.", "base_model.model."


def has_peft_layout(name: str, llm: TunedPart | None) -> bool:
    """Whether a tensor of the model belongs into peft's file for the bare LLM."""
    is_lora = llm is not None and llm.name == "hf_causal_lm" and llm.tuning is not None and llm.tuning.name == "lora"
    return is_lora and name.startswith(_OURS) and (".lora_A." in name or ".lora_B." in name)


def from_peft(name: str) -> str:
    """Name in peft's file -> name in the model's state."""
    return f"{_OURS}{name.removeprefix(_THEIRS).removesuffix('.weight')}.default.weight"


def save_peft(folder: Path, weights: dict[str, Tensor], lora: LoraConfig, base: str) -> None:
    """Write adapter_config.json and adapter_model.safetensors."""
    from peft import LoraConfig as PeftConfig
    from peft import TaskType

    renamed = {_to_peft(name): tensor for name, tensor in weights.items()}
    targets = sorted({name.removeprefix(_OURS).partition(".lora_")[0] for name in weights})
    config = PeftConfig(
        r=lora.r,
        lora_alpha=lora.lora_alpha,
        lora_dropout=lora.lora_dropout,
        target_modules=targets,
        task_type=TaskType.CAUSAL_LM,
        base_model_name_or_path=base,
        inference_mode=True,
    )
    plain: dict[str, Any] = {
        key: sorted(value) if isinstance(value, set) else value for key, value in config.to_dict().items()
    }
    write_json(folder / "adapter_config.json", plain)
    save_weights(folder, renamed, "adapter_model", shard_bytes=1 << 62)


def _to_peft(name: str) -> str:
    return f"{_THEIRS}{name.removeprefix(_OURS)}".replace(".default.weight", ".weight")
