"""The limits that a task announces are exactly those that its model enforces."""

import pytest
import torch

from aista.data.dataset import SpeechTextDataset
from aista.data.inspection import inspect
from aista.data.manifest import read_manifest
from aista.errors import ConfigError, DataError
from aista.modules.llms.base import GenerationConfig
from aista.registry import build
from aista.schema import Component
from aista.selection.base import SelectedLayers
from aista.tasks.experiment import load_experiment
from aista.tasks.limits import input_lengths
from aista.tasks.preflight import build_task
from tests.modules.encoders.folders import make_folder
from tests.tiny import make_corpus, tiny_config, write_config


class Parts:
    """A task with its model and the corpus' rows."""

    def __init__(self, folder, task="speech_translation", **changes):
        corpus = make_corpus(folder / "corpus", num_train=8)
        options = tiny_config(corpus, **changes)
        if task != "speech_translation":
            options = {key: options[key] for key in ("tokenizer", "data", "encoder", "llm", "prompt")}
            options.pop("llm" if task == "ctc_asr" else "encoder")
            if task == "ctc_asr":
                options.pop("prompt")
            options["task"] = task
        experiment = load_experiment(write_config(folder / "config.yaml", options))
        self.task = build_task(experiment)
        self.model = self.task.build_model().eval()
        self.feature = self.task.feature
        manifest = read_manifest(corpus / "train.tsv")
        self.inspection = inspect(manifest, experiment.sections.data, with_audio=self.task.uses_audio)
        self.dataset = SpeechTextDataset(manifest.rows, corpus, self.feature, self.task.tokenizer)

    def measures(self, name, **options):
        limits = self.task.limits(self.model, **options)
        (limit,) = [limit for limit in limits if limit.name == name]
        return limit.measure(self.inspection.kept, self.inspection.durations)


@pytest.mark.parametrize("task", ["speech_translation", "text_translation"])
def test_a_row_fits_exactly_into_the_positions_it_is_said_to_take(tmp_path, task):
    parts = Parts(tmp_path, task)
    for row, positions in enumerate(parts.measures("LLM positions")):
        batch = parts.dataset.batch([row], 0)
        parts.model.llm.max_positions = positions
        parts.task.loss(parts.model, batch)
        parts.model.llm.max_positions = positions - 1
        with pytest.raises(DataError, match=f"has {positions} positions"):
            parts.task.loss(parts.model, batch)


@pytest.mark.parametrize("adapter", ["ctc_compress", "cif"])
@pytest.mark.parametrize("training", [False, True])
def test_a_row_fits_into_the_positions_that_bound_it(tmp_path, adapter, training):
    """Where the adapter's output depends on content, a row that is accepted always fits, and may take fewer."""
    parts = Parts(tmp_path, adapter={"name": adapter})
    parts.model.train(training)
    generation = GenerationConfig(beam_size=1, max_new_tokens=30)
    for row, positions in enumerate(parts.measures("LLM positions", max_new_tokens=30)):
        batch = parts.dataset.batch([row], 0)
        parts.model.llm.max_positions = positions
        parts.task.loss(parts.model, batch)
        parts.task.decode(parts.model, batch, generation)
        frames = parts.model.encoder.output_lengths(batch.audio_lengths)
        assert positions == int(frames) + 30 + parts.model.prompt.num_positions


@pytest.mark.parametrize("task", ["speech_translation", "text_translation"])
def test_decoding_needs_room_for_the_new_tokens(tmp_path, task):
    parts = Parts(tmp_path, task)
    generation = GenerationConfig(beam_size=1, max_new_tokens=30)
    for row, positions in enumerate(parts.measures("LLM positions", max_new_tokens=30)):
        batch = parts.dataset.batch([row], 0)
        parts.model.llm.max_positions = positions
        parts.task.decode(parts.model, batch, generation)
        parts.model.llm.max_positions = positions - 1
        with pytest.raises(DataError, match="30 tokens to generate"):
            parts.task.decode(parts.model, batch, generation)


@pytest.mark.parametrize("changes", [{"mt_weight": 1.0}, {"alignment": [{"name": "kl"}]}])
def test_the_text_branch_counts_where_it_is_the_longer_one(tmp_path, changes):
    adapter = {"name": "frame_stack", "config": {"stride": 16}}
    parts = Parts(tmp_path, adapter=adapter, **changes)
    parts.task.selected = SelectedLayers((0,), (1.0,), "")
    speech_lengths = parts.model.speech_positions(input_lengths(parts.inspection.durations, parts.feature))
    for row, positions in enumerate(parts.measures("LLM positions")):
        batch = parts.dataset.batch([row], 0)
        assert int(speech_lengths[row]) < int(batch.source_lengths[0])
        parts.model.llm.max_positions = positions
        parts.task.loss(parts.model, batch)
        parts.model.llm.max_positions = positions - 1
        with pytest.raises(DataError, match=f"has {positions} positions"):
            parts.task.loss(parts.model, batch)


@pytest.mark.parametrize("task", ["speech_translation", "ctc_asr"])
def test_the_encoder_takes_the_lengths_it_announces(tmp_path, task):
    parts = Parts(tmp_path, task)
    frames = parts.measures("frames of encoder input")
    for row, length in enumerate(frames):
        batch = parts.dataset.batch([row], 0)
        assert batch.audio_lengths.tolist() == [length]
        parts.model.encoder.length_range = (1, length)
        parts.task.loss(parts.model, batch)
        parts.model.encoder.length_range = (1, length - 1)
        with pytest.raises(DataError, match=f"{length} feature frames"):
            parts.task.loss(parts.model, batch)


@pytest.mark.parametrize("name", ["log_mel", "seamless_fbank", "whisper_log_mel", "waveform"])
def test_input_lengths_are_those_of_the_features(name):
    feature = build("feature", Component(name))
    for samples in (16_000, 3_199, 4_321):
        computed = len(feature(torch.randn(samples)))
        assert input_lengths([samples / feature.sample_rate], feature).tolist() == [computed]


@pytest.mark.parametrize(
    ("feature", "received"),
    [
        ({"name": "waveform", "config": {"normalize": False}}, "plain waveform at 16000 Hz"),
        ({"name": "waveform", "config": {"sample_rate": 8000}}, "normalized waveform at 8000 Hz"),
    ],
)
def test_input_that_a_pretrained_encoder_was_not_trained_on_is_refused(tmp_path, feature, received):
    folder = make_folder(tmp_path / "model", "wav2vec2-base")
    parts = Parts(tmp_path, encoder={"name": "hf_speech", "config": {"path": str(folder)}}, data={"feature": feature})
    message = (
        rf"data\.feature: the encoder was trained on normalized waveform at 16000 Hz, got {received}; "
        r"set data\.feature: \{name: waveform, config: \{normalize: true, sample_rate: 16000\}\}"
    )
    with pytest.raises(ConfigError, match=message):
        parts.measures("samples of encoder input")


def test_a_feature_that_does_not_say_what_it_is_is_taken(tmp_path):
    folder = make_folder(tmp_path / "model", "wav2vec2-base")
    parts = Parts(
        tmp_path, encoder={"name": "hf_speech", "config": {"path": str(folder)}}, data={"feature": {"name": "waveform"}}
    )
    parts.feature.content = ""
    assert parts.measures("samples of encoder input")
