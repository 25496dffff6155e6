"""Prompts as ids: texts, and the chat formats of the families, with tokenizers and templates made here."""

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from aista.data.tokenizers.hugging_face import HuggingFaceConfig, HuggingFaceTokenizer
from aista.errors import ConfigError, DataError
from aista.modules.prompt import PromptIds
from aista.schema import structure
from aista.tasks.prompting import ChatPrompt, encode_prompt
from aista.tasks.speech_translation import SpeechTranslationConfig, SpeechTranslationTask
from aista.testing.dummies import DummyFeature, DummyTokenizer

TURNS = "<s> </s> <pad> <audio> <|im_start|> <|im_end|> <start_of_turn> <end_of_turn> [INST] [/INST] <|end|> <|user|>"
USER = "Translate into French:\n{speech}\nFrench:"
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% if quiet %}(quiet)\n{% endif %}{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content | trim }}"
    "<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' %} {{ m.content }}{{ eos_token }}"
    "{% else %}[INST] {{ m.content }} [/INST]{% endif %}{% endfor %}"
)
PHI = (
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% else %}{{ eos_token }}{% endif %}"
)
PLAIN = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
DATED = "Today: {{ strftime_now('%d %B %Y') }}\n" + CHATML
FAMILIES = {"chatml": CHATML, "gemma": GEMMA, "mistral": MISTRAL, "phi": PHI, "plain": PLAIN}


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """Tokenizer of a family: byte-level BPE with all special tokens, and the family's template."""

    def build(template=None, **special):
        core = Tokenizer(models.BPE())
        core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        core.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=300, special_tokens=TURNS.split(), initial_alphabet=alphabet, show_progress=False
        )
        core.train_from_iterator([USER, "un deux trois"], trainer)
        fast = PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>", eos_token="</s>", **special)
        fast.chat_template = template
        folder = tmp_path_factory.mktemp("tokenizer")
        fast.save_pretrained(str(folder))
        return HuggingFaceTokenizer(HuggingFaceConfig(path=folder)), fast

    return build


def id_of(fast, token):
    return fast.convert_tokens_to_ids(token)


WITH_AND_WITHOUT_BOS = [(family, "<s>") for family in FAMILIES] + [
    (family, None) for family, template in FAMILIES.items() if "bos_token" not in template
]


@pytest.mark.parametrize(("family", "bos"), WITH_AND_WITHOUT_BOS)
def test_a_chat_is_what_the_family_was_tuned_on(make, family, bos):
    """Around the speech stand the very ids that transformers gives for the whole conversation, BOS once."""
    tokenizer, fast = make(FAMILIES[family], **({"bos_token": bos} if bos else {}))
    system = "You translate." if family in ("chatml", "phi") else ""
    prompt = encode_prompt(ChatPrompt(user=USER, system=system), tokenizer)
    messages = [{"role": "system", "content": system}] * bool(system)
    messages += [{"role": "user", "content": USER.replace("{speech}", "<audio>")}]
    whole = fast.apply_chat_template(messages, add_generation_prompt=True)
    cut = whole.index(id_of(fast, "<audio>"))
    head = ([] if prompt.bos_id is None else [prompt.bos_id]) + list(prompt.ids.prefix)
    assert head == whole[:cut]
    assert list(prompt.ids.suffix) == whole[cut + 1 :]
    assert head.count(id_of(fast, "<s>")) == ("bos_token" in FAMILIES[family])


@pytest.mark.parametrize(
    ("family", "end"),
    [("chatml", "<|im_end|>"), ("gemma", "<end_of_turn>"), ("mistral", "</s>"), ("phi", "<|end|>"), ("plain", "</s>")],
)
def test_the_end_of_turn_ends_a_translation(make, family, end):
    tokenizer, fast = make(FAMILIES[family], bos_token="<s>")
    assert encode_prompt(ChatPrompt(user=USER), tokenizer).eos_id == id_of(fast, end)
    assert tokenizer.decode([*tokenizer.encode("un deux"), id_of(fast, end)]) == "un deux"


def test_the_model_is_built_with_the_chats_tokens(make):
    tokenizer, fast = make(GEMMA, bos_token="<s>")
    options = {
        "encoder": {"name": "conformer", "config": {"model_dim": 8, "num_layers": 1, "num_heads": 2, "ffn_dim": 8}},
        "llm": {"name": "transformer_lm", "config": {"model_dim": 8, "num_layers": 1, "num_heads": 2}},
        "prompt": {"user": USER},
    }
    config = structure(SpeechTranslationConfig, options)
    model = SpeechTranslationTask(config, tokenizer=tokenizer, feature=DummyFeature()).build_model()
    assert model.eos_id == id_of(fast, "<end_of_turn>")
    assert model.prompt.head.tolist()[:2] == [id_of(fast, "<s>"), id_of(fast, "<start_of_turn>")]


def test_variables_and_the_day_reach_the_template(make):
    tokenizer, fast = make(CHATML)
    loud, quiet = (
        encode_prompt(ChatPrompt(user=USER, variables=variables), tokenizer) for variables in ({}, {"quiet": True})
    )
    assert fast.decode(quiet.ids.suffix) == fast.decode(loud.ids.suffix) + "(quiet)\n"
    dated, fast = make(DATED)
    prompt = encode_prompt(ChatPrompt(user=USER, date="2025-03-01"), dated)
    assert fast.decode(prompt.ids.prefix).startswith("Today: 01 March 2025\n")
    with pytest.raises(DataError, match=r"it prints the day, and a prompt must not change.*; set prompt\.date"):
        encode_prompt(ChatPrompt(user=USER), dated)


def test_text_of_the_config_is_never_run_as_a_template(make):
    tokenizer, fast = make(CHATML)
    prompt = encode_prompt(ChatPrompt(user="{{ 1 + 1 }}{% raw %} {speech}"), tokenizer)
    assert "{{ 1 + 1 }}{% raw %} " in fast.decode(prompt.ids.prefix)


def test_templates_run_in_a_sandbox(make):
    tokenizer, _ = make("{{ messages.__class__.__mro__[1].__subclasses__() }}{{ messages[0].content }}")
    with pytest.raises(DataError, match=r"does not take this prompt \(.*unsafe"):
        encode_prompt(ChatPrompt(user=USER), tokenizer)


def test_what_cannot_be_rendered(make):
    gemma, _ = make(GEMMA, bos_token="<s>")
    with pytest.raises(DataError, match=r"\(System role not supported\); the turns were system, user; where it"):
        encode_prompt(ChatPrompt(user=USER, system="You translate."), gemma)
    base, _ = make()
    with pytest.raises(DataError, match="its tokenizer has no chat template; write the prompt as a text"):
        encode_prompt(ChatPrompt(user=USER), base)
    with pytest.raises(DataError, match="DummyTokenizer has no chat template; write the prompt as a text"):
        encode_prompt(ChatPrompt(user=USER), DummyTokenizer())
    twice, _ = make("{{ messages[0].content }}{{ messages[0].content }}")
    with pytest.raises(ValueError, match="has it 2 times"):
        encode_prompt(ChatPrompt(user=USER), twice)
    padded, _ = make(CHATML.replace("<|im_end|>", "<pad>"))
    with pytest.raises(ValueError, match="end with '<pad>', which is the padding token too"):
        encode_prompt(ChatPrompt(user=USER), padded)


def test_a_text_prompt_has_bos_once(make):
    tokenizer, fast = make(bos_token="<s>")
    prompt = encode_prompt("fr: {speech}<|im_end|>", tokenizer)
    assert prompt == (PromptIds(tuple(fast.encode("fr: ")), (id_of(fast, "<|im_end|>"),)), 0, 1)
    with pytest.raises(ValueError, match=r"begins with BOS, which is put in front of every row; leave it out"):
        encode_prompt("<s>fr: {speech}", tokenizer)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ({"user": "Translate."}, r"prompt: a prompt template needs exactly one \{speech\}"),
        ({"user": USER, "system": "{speech}"}, r"prompt: system must not hold \{speech\}"),
        ({"user": USER, "date": "tomorrow"}, r"prompt: date must be a day as YYYY-MM-DD, got 'tomorrow'"),
        ({"user": USER, "sistem": ""}, r"prompt\.sistem: unknown option \(did you mean 'system'\?\)"),
        ({"system": "You translate."}, r"prompt\.user: is required"),
        (3, "prompt: expects str or ChatPrompt, got 3"),
    ],
)
def test_faults_of_the_config(prompt, message):
    with pytest.raises(ConfigError, match=message):
        structure(SpeechTranslationConfig, {"prompt": prompt})
