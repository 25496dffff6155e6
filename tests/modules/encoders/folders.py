"""Folders of tiny speech models with random weights, one for each kind that ``hf_speech`` loads."""

import json
from pathlib import Path

import torch
import transformers

CONVOLUTIONS = {"conv_dim": [8, 8, 8], "conv_kernel": [6, 4, 2], "conv_stride": [4, 2, 2], "num_feat_extract_layers": 3}
SIZES = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 24}
POSITIONS = {"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 4}
WAVE = CONVOLUTIONS | SIZES | POSITIONS | {"vocab_size": 10, "mask_time_prob": 0.05, "layerdrop": 0.1}
LARGE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
BERT = SIZES | {"vocab_size": 10, "conv_depthwise_kernel_size": 5, "max_source_positions": 30, "layerdrop": 0.1}

KINDS = {
    "wav2vec2-base": ("Wav2Vec2", WAVE),
    "wav2vec2-large": ("Wav2Vec2", WAVE | LARGE),
    "mms": ("Wav2Vec2", WAVE | LARGE | {"adapter_attn_dim": 4}),
    "hubert-base": ("Hubert", WAVE),
    "hubert-large": ("Hubert", WAVE | LARGE),
    "hubert-batch-norm": ("Hubert", WAVE | {"conv_pos_batch_norm": True, "feat_proj_layer_norm": False}),
    "wavlm-base": ("WavLM", WAVE | {"num_buckets": 8, "max_bucket_distance": 12}),
    "wavlm-large": ("WavLM", WAVE | LARGE | {"num_buckets": 8, "max_bucket_distance": 12}),
    "data2vec": (
        "Data2VecAudio",
        WAVE | {"feat_extract_norm": "layer", "conv_pos_kernel_size": 5, "num_conv_pos_embeddings": 3},
    ),
    "unispeech": ("UniSpeech", WAVE),
    "unispeech-sat": ("UniSpeechSat", WAVE | LARGE),
    "w2v-bert": ("Wav2Vec2Bert", BERT),
    "w2v-bert-relative": ("Wav2Vec2Bert", BERT | {"position_embeddings_type": "relative"}),
    "w2v-bert-rotary": ("Wav2Vec2Bert", BERT | {"position_embeddings_type": "rotary"}),
}
FBANK_KINDS = [kind for kind in KINDS if kind.startswith("w2v-bert")]
WAVE_KINDS = [kind for kind in KINDS if kind not in FBANK_KINDS]


def make_model(kind: str, **changes: object) -> torch.nn.Module:
    """A random model in eval mode, away from initial values that hide faults (equal attention, unit norms)."""
    family, sizes = KINDS[kind]
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**(sizes | changes))
    return roughen(getattr(transformers, f"{family}Model")(config).eval())


def roughen(model: torch.nn.Module) -> torch.nn.Module:
    """The model with its numbers moved, those of batch norms too."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
        for name, buffer in model.named_buffers():
            if "batch_norm.running" in name:
                buffer += torch.rand_like(buffer)
    return model


def make_folder(folder: Path, kind: str, *, model: torch.nn.Module | None = None, **settings: object) -> Path:
    """Weights, config.json and preprocessor_config.json."""
    (model or make_model(kind)).save_pretrained(folder)
    usual = {"sampling_rate": 16_000, "do_normalize": True}
    (folder / "preprocessor_config.json").write_text(json.dumps(usual | settings))
    return folder
