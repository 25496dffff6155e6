"""Prompts by task, language and wording, and what cannot be told apart."""

import pickle

import pytest

from aista.data.manifest_rows import Row, Rows
from aista.data.tokenizers.base import Chat
from aista.errors import ConfigError, DataError
from aista.schema import structure
from aista.tasks.prompting import ChatPrompt
from aista.tasks.prompts import Prompts, check_prompts, language_name
from aista.tasks.speech_translation import SpeechTranslationConfig
from aista.testing.dummies import DummyTokenizer


class Letters(DummyTokenizer):
    """Writes a prompt as its letters, so that it can be read back."""

    def encode_prompt(self, text):
        return [ord(letter) for letter in text]


class Chats(Letters):
    """Writes a conversation as its roles and texts."""

    def __init__(self, eos=None):
        super().__init__()
        self.chat_eos = self.eos_id if eos is None else eos

    def chat(self, turns, *, date="", variables):
        return Chat("".join(f"{role}:{said};" for role, said in turns), self.chat_eos)


def text(pair):
    head, suffix = ("".join(map(chr, ids)) for ids in pair)
    return f"{head.lstrip(chr(0))}_{suffix}"


def prompts(prompt="{speech}", table=None, usual="st"):
    return Prompts(prompt, table or {}, Letters(), usual=usual)


def row(task="", source="en", target="fr", id="a"):
    return Row(id, "", 0, "", src_lang=source, tgt_lang=target, task=task)


def test_one_prompt_for_all_rows_does_not_vary():
    fixed = prompts("say {speech} now")
    assert not fixed.vary
    assert text((fixed.first.ids.prefix, fixed.first.ids.suffix)) == "say _ now"
    assert fixed.num_positions == len("say  now") + (fixed.first.bos_id is not None)


def test_fields_stand_for_the_row_s_languages():
    varied = prompts("{src_lang}>{tgt_lang:name}: {speech}")
    assert varied.vary
    assert text(varied.of_row(row(target="de"), 0)) == "en>German: _"
    assert text(varied.of_row(row(target="zh-CN"), 0)) == "en>Chinese (China): _"


def test_a_task_has_its_prompt_and_the_others_the_usual_one():
    varied = prompts("T {speech}", {"asr": "A {speech}"})
    assert [text(varied.of(task, "en", "fr")) for task in ("", "st", "asr", "cot")] == ["T _", "T _", "A _", "T _"]
    assert text(prompts("T {speech}", {"mt": "M {speech}"}, usual="mt").of("", "en", "fr")) == "M _"


def test_a_draw_chooses_among_wordings_and_zero_the_first():
    varied = prompts("{speech}", {"st": ["a{speech}", "b{speech}", "c{speech}"]})
    assert [text(varied.of_row(row("st"), draw)) for draw in (0, 1, 2, 3)] == ["a_", "b_", "c_", "a_"]


def test_the_config_names_a_language_where_rows_do_not():
    varied = prompts("{src_lang}{tgt_lang}{speech}")
    varied.learn(Rows.of([row("st", "", ""), row("asr", "", "")]), "en", "fr")
    assert text(varied.of("st", "", "")) == "enfr_"
    assert text(varied.of("asr", "", "")) == "enen_"  # what is written is the transcript
    assert varied.tasks == {"st", "asr"}


def test_a_language_that_nobody_names_is_an_error():
    with pytest.raises(DataError, match=r"task st holds {tgt_lang:name}, but rows have an empty tgt_lang; fill"):
        prompts("{tgt_lang:name}{speech}").learn(Rows.of([row(target="")]), "en", "")


def test_rows_that_a_model_cannot_tell_apart_are_an_error():
    with pytest.raises(DataError, match="rows of asr into 'en' and of st into 'fr' have the same prompt"):
        prompts("{speech}").learn(Rows.of([row("st"), row("asr", target="en")]), "", "")
    with pytest.raises(DataError, match="rows of st into 'de' and of st into 'fr' have the same prompt"):
        prompts("{speech}", {"asr": "a{speech}"}).learn(Rows.of([row("st"), row("st", target="de")]), "", "")
    prompts("{speech}").learn(Rows.of([row("st"), row("mt")]), "", "")  # one has speech, the other text
    both = [row("asr", target="en"), row("mt"), row("mt", target="de")]
    with pytest.raises(DataError, match="rows of mt into 'de' and of mt into 'fr' have the same prompt"):
        prompts("{speech}").learn(Rows.of(both), "", "")


def test_characters_that_the_tokenizer_does_not_know_are_said_once(caplog):
    class Unknowing(DummyTokenizer):
        unk_id = 3

    marked = Prompts("{speech} to {tgt_lang}", {"asr": "{speech}<asr>"}, Unknowing(), usual="st")
    marked.learn(Rows.of([row("st")]), "", "")
    assert not caplog.messages
    for _ in range(2):
        marked.learn(Rows.of([row("st"), row("asr", id="b")]), "", "")
    (message,) = caplog.messages
    assert message.startswith("prompts of asr hold characters that the tokenizer does not know")


def test_lengths_are_those_of_the_longest_prompt():
    varied = prompts("{tgt_lang}{speech}", {"asr": "0123456789{speech}01"})
    varied.learn(Rows.of([row("st"), row("asr", target="en")]), "", "")
    bos = varied.first.bos_id is not None
    assert (varied.num_positions, varied.head_positions) == (12 + bos, 10 + bos)
    assert text(varied.longest) == "0123456789_01"


def test_prompts_travel_to_worker_processes():
    varied = prompts("{tgt_lang}{speech}")
    varied.learn(Rows.of([row()]), "", "")
    copy = pickle.loads(pickle.dumps(varied))
    assert copy.of_row(row(), 0) == varied.of_row(row(), 0)


@pytest.mark.parametrize(
    ("prompt", "table", "message"),
    [
        ("{speech}", {"sst": "{speech}"}, r"tasks are st, asr, mt, cot, got 'sst' \(did you mean 'st'"),
        ("{tgt_langs}{speech}", {}, r"fields of a prompt are {speech}, .*got {tgt_langs} \(did you mean 'tgt_lang'"),
        ("{speech}", {"asr": ["{speech}", "{tgt_lang:code}{speech}"]}, "got {tgt_lang:code}"),
        ("{speech}", {"asr": ChatPrompt(user="{speech}", system="{lang}")}, "got {lang}"),
        ("{speech}", {"asr": []}, "prompts.asr: must hold at least one wording, got none"),
    ],
)
def test_a_wrong_table_is_refused(prompt, table, message):
    with pytest.raises(ValueError, match=message):
        check_prompts(prompt, table)


def test_a_config_tells_them_all():
    with pytest.raises(ConfigError, match="got 'sst'"):
        structure(SpeechTranslationConfig, {"prompts": {"sst": "{speech}"}})
    config = structure(
        SpeechTranslationConfig, {"prompts": {"asr": ["a {speech}", {"user": "b {speech}"}], "mt": "c {speech}"}}
    )
    assert config.prompts["asr"][1].user == "b {speech}"


def test_chats_have_fields_too_and_end_alike():
    chat = ChatPrompt(user="{speech} to {tgt_lang:name}", system="from {src_lang}")
    varied = Prompts(chat, {"st": [chat, chat]}, Chats(), usual="st")
    assert text(varied.of("st", "en", "de")) == "system:from en;user:_ to German;"
    with pytest.raises(ValueError, match="must all begin with the same token and end with the same one"):
        Prompts("{speech}", {"st": chat}, Chats(eos=7), usual="st")


@pytest.mark.parametrize("code", ["xx", "no such", ""])
def test_names_are_of_known_languages(code):
    with pytest.raises(DataError, match="need language codes such as fr or zh-CN"):
        language_name(code)
