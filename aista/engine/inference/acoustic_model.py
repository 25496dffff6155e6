"""CTC models for forced alignment: a run of the task ``ctc_asr``, or a Hugging Face folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from aista.data.data_config import DataConfig
from aista.data.dataset import SpeechTextDataset
from aista.data.features.base import Feature
from aista.data.features.seamless_fbank import SeamlessFbank
from aista.data.features.waveform import Waveform, WaveformConfig
from aista.data.inspection import Inspection
from aista.data.letters import LetterTokenizer
from aista.data.row_checks import Limit
from aista.data.tokenizers.base import TextTokenizer
from aista.engine.encoder_cache.cached_encoder import with_encoder_states
from aista.engine.export.load import CONFIG, is_exported
from aista.engine.inference.trained_run import find_device, open_run
from aista.engine.inputs import Split
from aista.errors import RunError
from aista.hub import local_folder
from aista.modules.ctc_model import CtcModel
from aista.modules.encoders.base import ExpectedInput
from aista.modules.hf_ctc import read_hf_ctc
from aista.run_folder.paths import RunPaths
from aista.tasks.experiment import Experiment
from aista.tasks.limits import input_limit

__all__ = ["AcousticModel", "open_acoustic_model"]


@dataclass(frozen=True)
class AcousticModel:
    """A CTC model with its tokenizer and input.

    Attributes:
        model: In eval mode on ``device``.
        tokenizer: Its classes; the blank follows them.
        feature: Turns recordings into its input.
        data: Bounds on the recordings, and the language of the speech.
        device: Device of the model.
        experiment: The run's; None where the model comes from a Hugging Face folder.
    """

    model: CtcModel
    tokenizer: TextTokenizer
    feature: Feature
    data: DataConfig
    device: str
    experiment: Experiment | None = None

    @property
    def limits(self) -> tuple[Limit, ...]:
        """The limit on its encoder's input."""
        return (input_limit(self.model.encoder, self.feature),)

    def load(self, name: str, inspection: Inspection) -> Split:
        """The kept rows of a manifest, with encoder states in place of audio where the run caches them."""
        base = inspection.manifest.parent
        dataset = SpeechTextDataset(inspection.kept, base, self.feature, self.tokenizer)
        split = Split(name, dataset, (inspection,), "drop")
        if self.experiment is None:
            return split
        return with_encoder_states(split, self.experiment, self.model, self.device)


def open_acoustic_model(
    folder: Path, which: str = "best", *, device: str = "", base: Mapping[str, Path] | None = None, verify: bool = True
) -> AcousticModel:
    """Open a CTC model.

    Args:
        folder: Run folder of the task ``ctc_asr``, its export, or a Hugging Face folder or hub name of a CTC model.
        which: Checkpoint of a run: ``best``, ``last`` or a step number.
        device: Device to run it on; empty means the GPU if there is one.
        base: Base weights by part, for an export of the trainable weights alone.
        verify: Compare a run's weights with their checksums first.

    Raises:
        RunError: the folder holds none of these, or a run of another task.
        AistaError: no such device.
    """
    if not RunPaths(folder).is_run and not is_exported(folder):
        return _open_folder(local_folder(folder, "weights", "tokenizer"), find_device(device))
    run = open_run(folder, which, device=device, base=base, verify=verify)
    if not isinstance(run.model, CtcModel) or run.task.feature is None:
        raise RunError(
            f"{folder}: word times need a run of the task ctc_asr, got {run.experiment.sections.task}; name one, such "
            "as RUN/pretraining/ctc of an experiment with that stage"
        )
    data = replace(run.experiment.sections.data, target_language="")
    return AcousticModel(run.model, run.task.tokenizer, run.task.feature, data, run.device, run.experiment)


def _open_folder(folder: Path, device: str) -> AcousticModel:
    if not (folder / CONFIG).is_file():
        missing = f"no {RunPaths(folder).config_file.name}, no {CONFIG}"
        raise RunError(
            f"{folder}: neither a run folder nor a Hugging Face folder ({missing}); train a CTC model with the task "
            "ctc_asr, or name the local folder of one"
        )
    try:
        model, letters, delimiter = read_hf_ctc(folder)
    except ValueError as error:
        raise RunError(f"--encoder: {str(error).removeprefix('path: ')}") from error
    expected = model.encoder.expected_input
    assert expected is not None
    tokenizer = LetterTokenizer(letters, delimiter, model.vocab_size)
    return AcousticModel(model.to(device), tokenizer, _feature(expected), DataConfig(), device)


def _feature(expected: ExpectedInput) -> Feature:
    if expected.content == SeamlessFbank.content:
        return SeamlessFbank()
    normalize = expected.content == "normalized waveform"
    return Waveform(WaveformConfig(sample_rate=expected.sample_rate, normalize=normalize))
