"""generation_config.json of an export holds the whole search: aista reads it back, transformers what it knows of it."""

from types import SimpleNamespace

import transformers

from aista.engine.export.description import generation_to_json
from aista.engine.export.load import GENERATION, _generation
from aista.files import write_json
from aista.modules.llms.search import GenerationConfig
from aista.schema import structure

TASK = SimpleNamespace(tokenizer=SimpleNamespace(bos_id=1, eos_id=2, pad_id=3), prompts=None)
UTILITY = {"name": "chrf", "scale": 0.5, "config": {"word_order": 2}}


def test_the_search_is_what_was_exported(tmp_path):
    for options in ({}, {"beam_size": 3, "length_penalty": 0.6, "no_repeat_ngram": 2, "mbr": UTILITY}):
        search = structure(GenerationConfig, options)
        write_json(tmp_path / GENERATION, generation_to_json(search, TASK))
        assert structure(GenerationConfig, _generation(tmp_path / GENERATION)) == search
        theirs = transformers.GenerationConfig.from_pretrained(tmp_path)
        assert theirs.no_repeat_ngram_size == search.no_repeat_ngram
        assert theirs.num_beams == search.beam_size
