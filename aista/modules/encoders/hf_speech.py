"""Speech encoders of the wav2vec 2.0 family and w2v-BERT 2.0 from a Hugging Face folder or the hub.

The modules are transformers' own; the forward pass is aista's, because theirs lets padding affect group norms and
stacked position convolutions, runs all layers even if one is needed, and draws masks from NumPy's random numbers.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel

from aista.hub import local_folder
from aista.model_folder import read_json
from aista.modules.encoders.attention_mask import attention_mask
from aista.modules.encoders.base import ExpectedInput, SpeechEncoder
from aista.modules.encoders.conv_frontend import conv_lengths, convolve_waveform, encode_positions, receptive_field
from aista.modules.encoders.layer_mix import LAYERS_HELP, LayerChoice, LayerMix, layer_states
from aista.modules.encoders.span_mask import span_mask
from aista.modules.encoders.wavlm_attention import merge_padding_into_bias
from aista.modules.hf_folder import build_model, model_errors, read_config
from aista.modules.transformers_versions import states_of
from aista.registry import register
from aista.schema import Options, option, required
from aista.types import length_mask, zero_padding

__all__ = ["HFSpeechConfig", "HFSpeechEncoder", "hf_speech"]

WAVEFORM_MODELS = ("wav2vec2", "hubert", "wavlm", "data2vec-audio", "unispeech", "unispeech-sat")
FBANK_MODELS = ("wav2vec2-bert",)
FBANK_DIM = 160


@dataclass(frozen=True, kw_only=True)
class HFSpeechConfig(Options):
    """Options of the encoder ``hf_speech``."""

    path: Path = required(
        "A folder with config.json, preprocessor_config.json and *.safetensors, or a name on the hub.",
        pretrained="weights",
    )
    layers: LayerChoice = option("last", LAYERS_HELP)
    layerdrop: float = option(0.0, "Probability of skipping a block in training.", minimum=0, maximum=0.9)
    mask_time_prob: float = option(
        0.0, "SpecAugment in training: fraction of frames replaced by the model's mask vector.", minimum=0, maximum=1
    )
    mask_time_length: int = option(10, "Length of a masked span in frames.", minimum=1, maximum=100_000)
    mask_feature_prob: float = option(
        0.0, "SpecAugment in training: fraction of channels set to zero.", minimum=0, maximum=1
    )
    mask_feature_length: int = option(10, "Width of a masked span in channels.", minimum=1, maximum=100_000)

    def skeleton(self, *, feature_dim: int) -> SpeechEncoder:
        """The encoder from the folder's config files alone, for weights that are loaded later."""
        return hf_speech(self, feature_dim=feature_dim, with_weights=False)


@register("encoder", "hf_speech", config=HFSpeechConfig)
def hf_speech(config: HFSpeechConfig, *, feature_dim: int, with_weights: bool = True) -> SpeechEncoder:
    r"""wav2vec 2.0, XLS-R, MMS, HuBERT, WavLM, data2vec, UniSpeech or w2v-BERT 2.0: W samples -> about W / 320 states.

    In any batch, a row's states are those of transformers' forward pass on the row alone: group norms (base
    models) take their statistics from the row's samples, position convolutions read zeros in the padding, and
    attention masks it. The feature must be the one that the folder's preprocessor_config.json describes:
    ``waveform``, normalised or not, or ``seamless_fbank`` for w2v-BERT 2.0. Masking and LayerDrop are off unless
    set here; dropout is as in the folder's config. No code of the folder runs.

    Choose it for pretrained speech representations; docs/encoders.md has advice on models and layers.
    Freeze it with ``freeze_params: ['encoder\.model']``; that leaves the weights of ``layers: weighted`` trainable.

    Raises:
        ValueError: the folder lacks a file, holds another model or only pickled weights, or the configured
            feature has other channels.
    """
    folder = local_folder(config.path, "weights" if with_weights else "config")
    settings = _read_settings(folder, config)
    is_fbank = settings.model_type in FBANK_MODELS
    expected = _expected_input(folder, is_fbank)
    if feature_dim != (FBANK_DIM if is_fbank else 0):
        received = f"{feature_dim} channels" if feature_dim else "raw waveforms (feature_dim 0)"
        wanted = f"features of {FBANK_DIM} channels" if is_fbank else "raw waveforms"
        raise ValueError(
            f"the {settings.model_type} model in {folder} reads {wanted}, but the configured features are "
            f"{received}; set data.feature: {expected.remedy}"
        )
    model = build_model(AutoModel, folder, settings, with_weights=with_weights, dtype="float32")
    if config.mask_time_prob == 0.0 and hasattr(model, "masked_spec_embed"):  # UniSpeech-SAT always has it
        del model.masked_spec_embed
    classes: dict[str, type[HFSpeechEncoder]] = {"wav2vec2-bert": _W2VBertEncoder, "wavlm": _WavLMEncoder}
    with model_errors(folder, "used"):
        return classes.get(model.config.model_type, _WaveformEncoder)(model, config, expected)


def _read_settings(folder: Path, config: HFSpeechConfig) -> Any:
    """The model's config, with the masking of the options."""
    settings = read_config(
        folder,
        WAVEFORM_MODELS + FBANK_MODELS,
        # The vector that replaces masked frames is a parameter: unused, data parallelism would miss its gradient.
        mask_time_prob=config.mask_time_prob,
        mask_feature_prob=0.0,
    )
    for key in ("add_adapter", "use_intermediate_ffn_before_adapter"):
        if getattr(settings, key, False):
            raise ValueError(
                f"path: the model in {folder} has a head over its frame states ({key}: true in config.json), but "
                f"lengths are for aista's adapters to change; set {key} to false there, which leaves the head out"
            )
    return settings


def _expected_input(folder: Path, is_fbank: bool) -> ExpectedInput:
    file = folder / "preprocessor_config.json"
    if not file.is_file():
        raise ValueError(
            f"path: {folder} lacks preprocessor_config.json, which says what input the model was trained on; copy it "
            "from where the model came from"
        )
    settings = read_json(file)
    rate = settings.get("sampling_rate", 16_000)
    if is_fbank:
        received = (settings.get("num_mel_bins", 80), settings.get("stride", 2), rate)
        if received != (80, 2, 16_000):
            raise ValueError(
                f"path: {file} asks for {received[0]} mels, stacked by {received[1]}, at {rate} Hz; the feature "
                "seamless_fbank gives 80, 2 and 16000; choose a model that was trained on these"
            )
        return ExpectedInput("seamless_fbank", rate, "seamless_fbank")
    normalize = bool(settings.get("do_normalize", True))
    options = f"normalize: {str(normalize).lower()}, sample_rate: {rate}"
    content = "normalized waveform" if normalize else "plain waveform"
    return ExpectedInput(content, rate, f"{{name: waveform, config: {{{options}}}}}")


class HFSpeechEncoder(SpeechEncoder):
    """Base of the model families; a subclass computes the frames and the layers around the blocks."""

    def __init__(self, model: Any, config: HFSpeechConfig, expected: ExpectedInput) -> None:
        super().__init__()
        self.expected_input = expected
        self.output_dim = model.config.hidden_size
        self.config = config
        self.mix = LayerMix(config.layers, len(model.encoder.layers))
        model.encoder.layers = model.encoder.layers[: self.mix.depth]
        self.model: Any = model
        self.train()

    @property
    def layers(self) -> nn.ModuleList:
        blocks: nn.ModuleList = self.model.encoder.layers
        return blocks

    def encode(self, audio: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Encode waveforms ``[B, W]`` or features ``[B, F, M]``."""
        audio = audio[:, : int(lengths.max())].to(self._dtype)  # nothing lies beyond the longest row
        x_BSE, lengths = self._project(audio, lengths)
        h_BSE, arguments = self._enter(self._mask_spans(x_BSE, lengths), lengths)

        def run(block: nn.Module, h_BSE: Tensor) -> Tensor:
            output = block(h_BSE, **arguments)
            self._carry_over(output, arguments)
            return self._drop_layer(h_BSE, states_of(output))

        finish = self._leave if self.mix.is_complete else None
        return self.mix(layer_states(h_BSE, self.layers, run, finish)), lengths

    @abstractmethod
    def _project(self, audio: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Input -> projected frames ``[B, S, E]`` and their lengths."""

    @abstractmethod
    def _enter(self, x_BSE: Tensor, lengths: Tensor) -> tuple[Tensor, dict[str, Any]]:
        """Projected frames -> input states of the first block, and the blocks' other arguments."""

    def _leave(self, h_BSE: Tensor) -> Tensor:
        """Layers after the last block."""
        return h_BSE

    def _carry_over(self, output: Any, arguments: dict[str, Any]) -> None:
        """Pass outputs of a block other than states on to the next block's arguments."""

    def _drop_layer(self, before: Tensor, after: Tensor) -> Tensor:
        # A skipped block still ran and gets zero gradients: data parallelism needs all ranks to take the same steps.
        if not self.model.training or self.config.layerdrop == 0.0 or float(torch.rand(())) >= self.config.layerdrop:
            return after
        return torch.where(torch.zeros((), dtype=torch.bool, device=after.device), after, before)

    def _mask_spans(self, x_BSE: Tensor, lengths: Tensor) -> Tensor:
        config, (rows, size, width) = self.config, x_BSE.shape
        if config.mask_time_prob > 0:
            share = config.mask_time_prob if self.model.training else 0.0
            mask_BS = span_mask(lengths.tolist(), size, share=share, span=config.mask_time_length)
            vector_E = self.model.masked_spec_embed.to(x_BSE.dtype)
            x_BSE = torch.where(mask_BS.to(x_BSE.device)[..., None], vector_E, x_BSE)
        if config.mask_feature_prob > 0 and self.model.training:
            mask_BE = span_mask([width] * rows, width, share=config.mask_feature_prob, span=config.mask_feature_length)
            x_BSE = x_BSE.masked_fill(mask_BE.to(x_BSE.device)[:, None, :], 0)
        return x_BSE

    @property
    def _dtype(self) -> torch.dtype:
        dtype: torch.dtype = self.model.feature_projection.projection.weight.dtype
        return dtype


class _WaveformEncoder(HFSpeechEncoder):
    """wav2vec 2.0, HuBERT, data2vec, UniSpeech: convolutions over the waveform, positions by convolution."""

    def __init__(self, model: Any, config: HFSpeechConfig, expected: ExpectedInput) -> None:
        super().__init__(model, config, expected)
        self.convolutions = tuple(zip(model.config.conv_kernel, model.config.conv_stride, strict=True))
        self.length_range = (receptive_field(self.convolutions), self.length_range[1])
        self.is_pre_norm = bool(getattr(model.config, "do_stable_layer_norm", False))
        if self.is_pre_norm and not self.mix.is_complete:
            del model.encoder.layer_norm

    def output_lengths(self, lengths: Tensor) -> Tensor:
        return conv_lengths(lengths, self.convolutions)

    def train(self, mode: bool = True) -> _WaveformEncoder:
        """Set the mode; a batch norm keeps its running statistics, since rows would otherwise depend on each other."""
        super().train(mode)
        for module in self.model.encoder.pos_conv_embed.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.eval()
        return self

    def _project(self, audio: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        frames_BSC = convolve_waveform(self.model.feature_extractor.conv_layers, audio, lengths)
        x_BSE = states_of(self.model.feature_projection(frames_BSC))
        return x_BSE, self.output_lengths(lengths)

    def _enter(self, x_BSE: Tensor, lengths: Tensor) -> tuple[Tensor, dict[str, Any]]:
        encoder = self.model.encoder
        x_BSE = zero_padding(x_BSE, lengths)
        h_BSE = x_BSE + encode_positions(encoder.pos_conv_embed, x_BSE, lengths)
        if not self.is_pre_norm:
            h_BSE = encoder.layer_norm(h_BSE)
        return encoder.dropout(h_BSE), {"attention_mask": attention_mask(lengths, h_BSE)}

    def _leave(self, h_BSE: Tensor) -> Tensor:
        if not self.is_pre_norm:
            return h_BSE
        normed_BSE: Tensor = self.model.encoder.layer_norm(h_BSE)
        return normed_BSE


class _WavLMEncoder(_WaveformEncoder):
    """WavLM: the first block computes the relative position bias that all blocks gate."""

    def __init__(self, model: Any, config: HFSpeechConfig, expected: ExpectedInput) -> None:
        super().__init__(model, config, expected)
        for block in self.layers:
            merge_padding_into_bias(block.attention)

    def _carry_over(self, output: Any, arguments: dict[str, Any]) -> None:
        arguments["position_bias"] = output[1]


class _W2VBertEncoder(HFSpeechEncoder):
    """w2v-BERT 2.0: conformer blocks over stacked filterbanks."""

    def output_lengths(self, lengths: Tensor) -> Tensor:
        return lengths

    def _project(self, audio: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        x_BSE = states_of(self.model.feature_projection(audio))
        return x_BSE, lengths

    def _enter(self, x_BSE: Tensor, lengths: Tensor) -> tuple[Tensor, dict[str, Any]]:
        encoder = self.model.encoder
        h_BSE = encoder.dropout(zero_padding(x_BSE, lengths))
        embedding = encoder.embed_positions
        if hasattr(embedding, "cached_sequence_length"):  # rotary: its cache ignores device and dtype
            embedding.cached_sequence_length = None
        positions = None if embedding is None else embedding(h_BSE)
        mask_B11S = attention_mask(lengths, h_BSE)
        return h_BSE, {
            "attention_mask": mask_B11S,
            "relative_position_embeddings": positions,
            "conv_attention_mask": None if mask_B11S is None else length_mask(lengths, h_BSE.size(1)),
        }
