"""Speech encoders of the wav2vec 2.0 family and w2v-BERT 2.0 from a local Hugging Face folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aista.modules.encoders.base import ExpectedInput, SpeechEncoder
from aista.modules.encoders.layer_mix import LAYERS_HELP, LayerChoice
from aista.registry import register
from aista.schema import Options, option, required

__all__ = ["HFSpeechConfig", "hf_speech"]

WAVEFORM_MODELS = ("wav2vec2", "hubert", "wavlm", "data2vec-audio", "unispeech", "unispeech-sat")
FBANK_MODELS = ("wav2vec2-bert",)
FBANK_DIM = 160


@dataclass(frozen=True, kw_only=True)
class HFSpeechConfig(Options):
    """Options of the encoder ``hf_speech``."""

    path: Path = required("Folder with config.json, preprocessor_config.json and *.safetensors.")
    layers: LayerChoice = option("last", LAYERS_HELP)
    layerdrop: float = option(0.0, "Probability of skipping a block in training.", minimum=0, maximum=0.9)
    mask_time_prob: float = option(
        0.0, "SpecAugment in training: part of the frames replaced by the model's mask vector.", minimum=0, maximum=1
    )
    mask_time_length: int = option(10, "Frames of such a span.", minimum=1)
    mask_feature_prob: float = option(
        0.0, "SpecAugment in training: part of the channels set to zero.", minimum=0, maximum=1
    )
    mask_feature_length: int = option(10, "Channels of such a span.", minimum=1)

    def skeleton(self, *, feature_dim: int) -> SpeechEncoder:
        """The encoder from the folder's config files alone, for weights that are loaded later."""
        return _build(self, feature_dim, with_weights=False)


@register("encoder", "hf_speech", config=HFSpeechConfig)
def hf_speech(config: HFSpeechConfig, *, feature_dim: int) -> SpeechEncoder:
    r"""wav2vec 2.0, XLS-R, MMS, HuBERT, WavLM, data2vec, UniSpeech or w2v-BERT 2.0, W samples -> about W / 320 states.

    A row's states are those of transformers' own forward on the row alone, whatever it is batched with: group
    norms (base models) take their statistics from the row's samples, position convolutions and attention see
    zeros and nothing in the padding. The feature must be the one that the folder's preprocessor_config.json
    describes: ``waveform``, normalised or not, or ``seamless_fbank`` for w2v-BERT 2.0. Masking and LayerDrop
    are off unless set here; dropout is the folder's. Nothing is downloaded and no code of the folder runs.

    Choose it for pretrained speech representations: docs/encoders.md says which model when and which layer.
    Freeze it with ``freeze_params: ['encoder\.model']``; that leaves the weights of ``layers: weighted`` trainable.

    Raises:
        ValueError: the folder lacks a file, holds another model or only pickled weights, or the configured
            feature has other channels.
    """
    return _build(config, feature_dim, with_weights=True)


def _build(config: HFSpeechConfig, feature_dim: int, *, with_weights: bool) -> SpeechEncoder:
    from aista.modules.encoders._hf_speech import load_encoder
    from aista.modules.hf_folder import read_config

    settings = read_config(
        config.path,
        WAVEFORM_MODELS + FBANK_MODELS,
        # The vector that replaces masked frames is a parameter: unused, data parallelism would miss its gradient.
        mask_time_prob=config.mask_time_prob,
        mask_feature_prob=0.0,
    )
    for key in ("add_adapter", "use_intermediate_ffn_before_adapter"):
        if getattr(settings, key, False):
            raise ValueError(
                f"path: the model in {config.path} has a head over its frame states ({key}: true in config.json), but "
                f"lengths are for aista's adapters to change; set {key} to false there, which leaves the head out"
            )
    is_fbank = settings.model_type in FBANK_MODELS
    expected = _expected_input(config.path, is_fbank)
    if feature_dim != (FBANK_DIM if is_fbank else 0):
        received = f"{feature_dim} channels" if feature_dim else "raw waveforms (feature_dim 0)"
        wanted = f"features of {FBANK_DIM} channels" if is_fbank else "raw waveforms"
        raise ValueError(
            f"the {settings.model_type} model in {config.path} reads {wanted}, but the configured features are "
            f"{received}; set data.feature: {expected.remedy}"
        )
    return load_encoder(config, settings, expected, with_weights=with_weights)


def _expected_input(folder: Path, is_fbank: bool) -> ExpectedInput:
    from aista.modules.hf_folder import read_json

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
