"""CTC models of Hugging Face folders: transformers' own logits, and what is refused."""

import json

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from aista.modules.hf_ctc import read_hf_ctc
from tests.modules.checks import padded
from tests.modules.encoders.folders import FBANK_KINDS, KINDS, make_folder, roughen

VOCABULARY = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "|": 4, "E": 5, "T": 6, "A": 7, "O": 8, "N": 9}


def make_ctc_folder(folder, kind="wav2vec2-base", *, vocabulary=VOCABULARY, **changes):
    """A random CTC model; returns transformers' model and the folder."""
    family, sizes = KINDS[kind]
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**(sizes | {"pad_token_id": 0} | changes))
    model = roughen(getattr(transformers, f"{family}ForCTC")(config).eval())
    make_folder(folder, kind, model=model)
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    return model, folder


@pytest.mark.parametrize("kind", ["wav2vec2-base", "wav2vec2-large", "hubert-base", "data2vec", "w2v-bert"])
@pytest.mark.parametrize("blank", [0, 3, 9])
def test_log_probabilities_are_those_of_transformers_with_the_blank_last(kind, blank, tmp_path):
    reference, folder = make_ctc_folder(tmp_path, kind, pad_token_id=blank)
    model, letters, delimiter = read_hf_ctc(folder)
    audio, lengths = padded([333, 100], 160) if kind in FBANK_KINDS else padded([333, 100])
    log_probs, frames = model.log_probs(audio, lengths)
    for row, length in enumerate(lengths.tolist()):
        with torch.no_grad():
            expected = reference(audio[row : row + 1, :length]).logits[0].log_softmax(-1)
        order = [index for index in range(10) if index != blank] + [blank]
        assert_close(log_probs[row, : int(frames[row])], expected[:, order], rtol=1e-4, atol=1e-4)
        for letter, place in letters.items():
            assert_close(log_probs[row, 0, place], expected[0, VOCABULARY[letter]], rtol=1e-4, atol=1e-4)
    assert delimiter == 4 - (blank < 4)
    assert set(letters) == {letter for letter in "ETAON" if VOCABULARY[letter] != blank}


def test_a_vocabulary_without_delimiter_has_none(tmp_path):
    vocabulary = {token: id for token, id in VOCABULARY.items() if token != "|"}
    assert read_hf_ctc(make_ctc_folder(tmp_path, vocabulary=vocabulary)[1]).delimiter is None


def edit(file, **values):
    settings = json.loads(file.read_text()) if file.is_file() else {}
    file.write_text(json.dumps(settings | values))


@pytest.mark.parametrize(
    ("file", "values", "message"),
    [
        ("config.json", {"architectures": ["Wav2Vec2Model"]}, r"holds Wav2Vec2Model, not a CTC model \(...ForCTC\)"),
        ("config.json", {"pad_token_id": 10}, "pad_token_id, CTC's blank, must be from 0 to 9, got 10"),
        ("config.json", {"pad_token_id": None}, "must be from 0 to 9, got None"),
        ("config.json", {"model_type": "whisper"}, "holds a model of type 'whisper'"),
        ("vocab.json", {"B": "7"}, "classes must be whole numbers of at least 0, got '7'"),
        ("vocab.json", {"eng": {"A": 1}, "fra": {"A": 1}}, "holds vocabularies of several languages"),
        ("tokenizer_config.json", {"tokenizer_class": "Wav2Vec2PhonemeCTCTokenizer"}, "writes phonemes"),
    ],
)
def test_what_a_folder_may_not_say_is_named(file, values, message, tmp_path):
    _, folder = make_ctc_folder(tmp_path)
    edit(folder / file, **values)
    with pytest.raises(ValueError, match=message):
        read_hf_ctc(folder)


def test_what_is_missing_is_named(tmp_path):
    _, folder = make_ctc_folder(tmp_path, vocabulary={"<pad>": 0, "ab": 1})
    with pytest.raises(ValueError, match="holds no single letter"):
        read_hf_ctc(folder)
    (folder / "vocab.json").unlink()
    with pytest.raises(ValueError, match=r"lacks vocab\.json"):
        read_hf_ctc(folder)
    (folder / "vocab.json").write_text(json.dumps(VOCABULARY))
    weights = load_file(folder / "model.safetensors")
    save_file({name: weights[name] for name in weights if name != "lm_head.bias"}, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"lack 1 tensors, e\.g\. lm_head\.bias"):
        read_hf_ctc(folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"only pytorch_model\.bin, which can run code"):
        read_hf_ctc(folder)
