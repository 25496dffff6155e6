"""Tuned parts in real runs: what is trained moves, all else stays, and checkpoints hold both."""

import copy
import json
import shutil

import pytest
import torch
import transformers
from torch import nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import CheckpointWrapper

from aista.engine.checkpoints import find_checkpoint, load_weights
from aista.engine.inference.evaluate import evaluate
from aista.engine.inference.trained_run import open_run
from aista.engine.training.optimizer import check_parameter_groups, group_parameters
from aista.engine.training.train import train
from aista.errors import ConfigError, RunError
from aista.tasks.experiment import load_experiment
from aista.tasks.training import ParameterGroup, TrainerConfig
from aista.testing.dummies import DummyLanguageModel
from tests.engine.training.processes import in_processes
from tests.tiny import tiny_config, write_config

LORA = {"name": "lora", "config": {"r": 4, "lora_alpha": 8, "lora_dropout": 0.0}}


@pytest.fixture(scope="session")
def llama(tmp_path_factory):
    """A Llama of two blocks with random weights, as large as the corpus' tokenizer."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 64, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
    config = transformers.LlamaConfig(**sizes, num_attention_heads=2, num_key_value_heads=1)
    folder = tmp_path_factory.mktemp("models") / "llama"
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture
def config(tmp_path, corpus, llama):
    """LoRA on a Hugging Face LLM and on a conformer, the adapter trained in full, no dropout."""
    options = tiny_config(corpus, trainer={"max_steps": 4, "learning_rate": 1e-2, "log_every": 2})
    options["encoder"]["config"]["dropout"] = 0.0
    options["encoder"]["tuning"] = copy.deepcopy(LORA)
    options["llm"] = {"name": "hf_causal_lm", "tuning": copy.deepcopy(LORA), "config": {"path": str(llama)}}
    options["evaluation"]["metrics"] = []
    return write_config(tmp_path / "config.yaml", options)


def weights(run):
    return load_weights(find_checkpoint(run))


def check_moved(run, llama):
    """LoRA and adapter have learned; the LLM's own weights are bit by bit those of its folder."""
    state = weights(run)
    updates = {name: tensor for name, tensor in state.items() if ".lora_B." in name}
    assert {name.split(".")[0] for name in updates} == {"encoder", "llm"}
    assert len([name for name in updates if name.startswith("llm.")]) == 14
    assert all(tensor.abs().max() > 0 for tensor in updates.values())
    pretrained = transformers.AutoModelForCausalLM.from_pretrained(llama).state_dict()
    for name, tensor in pretrained.items():
        wrapped = f"llm.model.{name.removesuffix('.weight')}.base_layer.weight"
        assert torch.equal(state.get(wrapped, state.get(f"llm.model.{name}")), tensor), name


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["trainer.mixed_precision=bfloat16", "trainer.activation_checkpointing=true", "trainer.grad_accumulation=2"],
        ["llm.config.dtype=bfloat16", "encoder.tuning=frozen", "adapter.tuning=lora"],
    ],
    ids=["plain", "bfloat16 autocast, activation checkpointing, accumulation", "weights in bfloat16"],
)
def test_lora_trains_and_its_checkpoint_decodes(tmp_path, config, llama, overrides):
    run = tmp_path / "run"
    train(load_experiment(config, overrides), run)
    if "encoder.tuning=frozen" not in overrides:
        check_moved(run, llama)
    table = json.loads((run / "parameters.json").read_text())
    opened = open_run(run)
    assert table["model"]["total"] == sum(p.numel() for p in opened.model.parameters())
    assert 0 < table["llm"]["share"] < 0.5
    assert (table["encoder"]["trainable"] == 0) == ("encoder.tuning=frozen" in overrides)
    if "llm.config.dtype=bfloat16" in overrides:
        types = {name: tensor.dtype for name, tensor in weights(run).items() if name.startswith("llm.")}
        assert {types[name] for name in types if ".lora_" in name} == {torch.float32}
        assert {types[name] for name in types if ".lora_" not in name} == {torch.bfloat16}
    for name, tensor in weights(run).items():
        assert torch.equal(opened.model.state_dict()[name], tensor), name
    assert len(evaluate(run, "dev").rows) == 8


def test_lora_equals_the_merged_model(tmp_path, config):
    """What the trained model computes is what a plain LLM with W + (alpha / r) B A computes."""
    run = tmp_path / "run"
    train(load_experiment(config), run)
    llm = open_run(run).model.llm
    embeddings, lengths = torch.randn(2, 5, 16), torch.tensor([5, 3])
    expected, states = llm(embeddings, lengths, capture=(0, 1, 2))
    for module in list(llm.modules()):
        if hasattr(module, "lora_A"):
            update = module.lora_B["default"].weight @ module.lora_A["default"].weight
            module.base_layer.weight.data += 2.0 * update
            module.lora_B["default"].weight.data.zero_()
    merged, others = llm(embeddings, lengths, capture=(0, 1, 2))
    torch.testing.assert_close(merged, expected)
    torch.testing.assert_close(others, states)


def test_a_resumed_run_ends_with_the_very_weights(tmp_path, config):
    overrides = ["trainer.checkpoint_every=2", "trainer.keep_last=9", "llm.tuning.config.lora_dropout=0.2"]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    train(load_experiment(config, overrides), whole)
    shutil.copytree(whole, cut)
    shutil.rmtree(cut / "checkpoints" / "step_4")
    (cut / "timing.json").unlink()
    train(load_experiment(config, overrides), cut)
    expected, found = weights(whole), weights(cut)
    assert found.keys() == expected.keys()
    for name in expected:
        assert torch.equal(found[name], expected[name]), name
    halfway = load_weights(find_checkpoint(whole, "2"))
    assert any(not torch.equal(halfway[name], expected[name]) for name in expected if ".lora_B." in name)


def test_a_stage_trains_in_full_and_lora_starts_on_its_weights(tmp_path, corpus, config):
    stage = {"name": "lm", "task": "text_translation", "part": "llm", "config": {"trainer": {"max_steps": 2}}}
    run = tmp_path / "run"
    train(load_experiment(config, [f"pretraining=[{json.dumps(stage)}]"]), run)
    table = json.loads((run / "pretraining" / "lm" / "parameters.json").read_text())
    assert table["llm"]["share"] == 1
    trained, source = weights(run), weights(run / "pretraining" / "lm")
    name = "llm.model.model.layers.0.mlp.up_proj"
    assert torch.equal(trained[f"{name}.base_layer.weight"], source[f"{name}.weight"])
    assert trained[f"{name}.lora_B.default.weight"].any()
    # A run with LoRA continues in one with the same LoRA, and is refused by one without.
    train(load_experiment(config, [f"initialize.llm={run}", "trainer.learning_rate=1e-12"]), tmp_path / "next")
    torch.testing.assert_close(
        weights(tmp_path / "next")[f"{name}.lora_B.default.weight"], trained[f"{name}.lora_B.default.weight"]
    )
    with pytest.raises(RunError, match=r"initialize\.llm: .*give both runs the same llm config, its tuning included"):
        train(load_experiment(config, [f"initialize.llm={run}", "llm.tuning=full"]), tmp_path / "plain")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["llm.tuning.config.target_modules=[query]"],
            r"llm\.tuning\.config: target_modules: 'query' matches no linear layer .* called q_proj, k_proj, .*lm_head",
        ),
        (["llm.tuning.config.r=0"], r"llm\.tuning\.config\.r: must be at least 1, got 0"),
        (["llm.tuning={name: layers, config: {first: 3}}"], r"llm\.tuning\.config: first and last must be at most 2"),
        (["llm.config.path=nowhere"], r"llm\.config: path: nowhere is not the folder .*no such folder"),
    ],
)
def test_what_is_wrong_with_the_llm_shows_before_the_folder_is_made(tmp_path, config, overrides, message):
    with pytest.raises(ConfigError, match=message):
        train(load_experiment(config, overrides), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_no_language_model_here_shows_before_too(tmp_path, config, llama):
    """Too few embeddings for the tokenizer, pickled weights, an encoder: none is found only after hours."""
    model = transformers.AutoModelForCausalLM.from_pretrained(llama)
    model.save_pretrained(tmp_path / "pickled", safe_serialization=False)
    model.resize_token_embeddings(8)
    model.save_pretrained(tmp_path / "small")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    transformers.BertForMaskedLM(transformers.BertConfig(**sizes)).save_pretrained(tmp_path / "bert")
    for folder, message in (
        (
            "small",
            r"the vocabulary of .*small has 8 tokens, fewer than the tokenizer's \d+; use the tokenizer of this model",
        ),
        ("pickled", r".*pickled holds only pytorch_model\.bin, which can run code"),
        ("bert", r".*bert holds BertForMaskedLM, not a causal language model"),
    ):
        with pytest.raises(ConfigError, match=rf"llm\.config: path: {message}"):
            train(load_experiment(config, [f"llm.config.path={tmp_path / folder}"]), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["freeze_params=[llm]"], r"freeze_params: 'llm' names parameters of the llm"),
        (["encoder.tuning.config.target_modules=[q_projj]"], r"encoder\.tuning\.config: target_modules: 'q_projj'"),
        (["adapter.tuning={name: layers}"], r"adapter\.tuning\.config: first and last count the part's blocks"),
        (
            [r"trainer.parameter_groups=[{params: 'llm\.model\.model\.embed', learning_rate: 1}]"],
            r"parameter_groups\[0\]\.params: .* matches only frozen parameters, e\.g\. llm\.model\.model\.embed_tokens",
        ),
    ],
)
def test_faults_of_the_model_come_before_its_pretraining(tmp_path, config, overrides, message):
    stage = "[{name: lm, task: text_translation, part: llm, config: {trainer: {max_steps: 2}}}]"
    with pytest.raises(ConfigError, match=message):
        train(load_experiment(config, [*overrides, f"pretraining={stage}"]), tmp_path / "run")
    assert not (tmp_path / "run" / "pretraining").exists()


def test_groups_see_the_names_of_the_bare_model():
    """Whatever wraps it: neither data parallelism nor activation checkpointing changes a group."""
    model = nn.Module()
    model.llm = DummyLanguageModel(num_layers=2)
    patterns = [r"llm\.blocks\.0\.mix", r"llm\.blocks"]
    expected = group_parameters(model, patterns)
    assert [len(group) for group in expected] == [2, 6, 3]
    model.llm.blocks[0] = CheckpointWrapper(model.llm.blocks[0])
    wrapped = nn.Module()
    wrapped.module = model
    for group, other in zip(group_parameters(wrapped, patterns), expected, strict=True):
        assert [id(p) for p in group] == [id(p) for p in other]


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        (["lm"], r"\[0\]\.params: 'lm' matches no parameter; e\.g\. llm\.embedding\.weight"),
        ([r"llm\.norm"], r"matches only frozen parameters, e\.g\. llm\.norm\.weight; trained parameters have"),
        (["llm", r"llm\.blocks"], r"\[1\]\.params: all that .* belongs to earlier groups; put this group before them"),
        (["("], r"'\(' is not a regular expression"),
    ],
)
def test_a_group_that_trains_nothing_is_a_fault(patterns, message):
    model = nn.Module()
    model.llm = DummyLanguageModel()
    model.llm.norm.requires_grad_(False)
    groups = tuple(ParameterGroup(params=pattern, learning_rate=0.1) for pattern in patterns)
    with pytest.raises(ConfigError, match=message):
        check_parameter_groups(TrainerConfig(parameter_groups=groups), model)


@pytest.mark.slow
def test_lora_survives_two_processes(tmp_path, config, llama):
    """Two processes, sharing or sharding the model, save the LoRA that one process learns."""
    train(load_experiment(config), tmp_path / "single")
    expected = weights(tmp_path / "single")
    for parallelism in ("ddp", "fsdp"):
        run = tmp_path / parallelism
        in_processes(2, config, run, f"trainer.data_parallelism={parallelism}")
        check_moved(run, llama)
        found = weights(run)
        assert found.keys() == expected.keys()
        for name in expected:
            torch.testing.assert_close(found[name], expected[name], rtol=1e-3, atol=1e-5, msg=name)
        assert len(evaluate(run, "dev").rows) == 8
