"""What is exported loads anywhere and translates as the run does; what is not sound is refused."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers
import yaml
from safetensors.torch import load_file, save_file

import aista
from aista.cli.main import main
from aista.console import escaped
from aista.engine.checkpoints import find_checkpoint
from aista.engine.export.record import Record, hash_files
from aista.engine.export.weights import fingerprint
from aista.engine.export.write import export
from aista.engine.inference.evaluate import evaluate
from aista.engine.inference.trained_run import open_run
from aista.errors import AistaError, RunError

PAGE = Path(__file__).parents[3] / "docs" / "export.md"


def snippet():
    """The Python of the documentation."""
    return re.search(r"```python\n(import aista\n.*?)```", PAGE.read_text(), re.DOTALL)[1]


def translations(folder, wavs, **options):
    return [item.text for item in aista.load(folder, device="cpu", **options).stream(wavs)]


def check_same_weights(run, out, **options):
    expected, found = open_run(run).model.state_dict(), open_run(out, **options).model.state_dict()
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype, name
        assert torch.equal(found[name], tensor), name


@pytest.fixture(scope="module")
def whole(tmp_path_factory, lora):
    out = tmp_path_factory.mktemp("whole") / "out"
    export(lora, out)
    return out


@pytest.fixture(scope="module")
def trainable(tmp_path_factory, lora):
    out = tmp_path_factory.mktemp("trainable") / "out"
    export(lora, out, kind="trainable")
    return out


@pytest.fixture
def given(bases):
    return {"encoder": bases / "whisper", "llm": bases / "llama"}


def test_native_run(tmp_path, native, tones, wavs, capsys):
    out = tmp_path / "out"
    evaluate(native)
    assert main(["export", str(native), str(out)]) == 0
    expected = translations(native, wavs)
    assert len(set(expected)) > 1
    assert translations(out, wavs) == expected
    check_same_weights(native, out)
    capsys.readouterr()
    assert main(["translate", str(out), *map(str, wavs)]) == 0
    assert capsys.readouterr().out.splitlines() == [f"{w}\t{t}" for w, t in zip(wavs, expected, strict=True)]
    # evaluated on a manifest, the scores are those of the run
    result = evaluate(out, str(tones / "test.tsv"))
    assert [s.value for s in result.scores] == [s.value for s in evaluate(native).scores]
    assert translations(out, wavs) == expected  # results in the folder are no damage
    card = (out / "README.md").read_text()
    front = yaml.safe_load(card.split("---")[1])
    assert (front["library_name"], front["language"]) == ("aista", ["fr"])
    assert "# license: to be filled in" in card
    for score in evaluate(native).scores:
        assert f"- {score.name} {score.value:.2f}  `{score.signature}`" in card
    for file in (*out.glob("*.json"), out / "README.md"):
        assert str(tones) not in file.read_text(), file


@pytest.mark.slow
def test_without_run_and_bases_in_a_fresh_process(tmp_path, native, lora, bases, wavs):
    """The documentation's own snippet, with nothing of the originals in reach."""
    scripts = []
    for name, run in (("native", native), ("lora", lora)):
        copies = tmp_path / name
        shutil.copytree(run, copies / "run")
        shutil.copytree(bases, copies / "bases")
        config = copies / "run" / "config.yaml"
        config.write_text(config.read_text().partition("\n")[2].replace(str(bases), str(copies / "bases")))
        export(copies / "run", copies / "out")
        expected = translations(run, wavs[:1])
        assert any(expected)
        shutil.rmtree(copies / "run")
        shutil.rmtree(copies / "bases")
        shutil.move(copies / "out", copies / "moved")
        code = snippet().replace("THIS_FOLDER", str(copies / "moved"))
        scripts.append((code.replace("a.wav", str(wavs[0])), expected))
    printed = run_fresh("\n".join(code for code, _ in scripts))
    assert printed == [line for _, expected in scripts for line in expected]


def run_fresh(code):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, cwd=Path.cwd()
    )
    return done.stdout.splitlines()


def test_whole_export_of_lora(whole, lora, wavs):
    assert translations(whole, wavs) == translations(lora, wavs)
    check_same_weights(lora, whole)
    assert not list(whole.glob("*/*.safetensors"))
    tokenizer = transformers.AutoTokenizer.from_pretrained(whole)
    assert tokenizer.eos_token == "<|end|>"
    generation = transformers.GenerationConfig.from_pretrained(whole)
    assert (generation.num_beams, generation.max_new_tokens, generation.eos_token_id) == (2, 12, 0)


def test_shards_and_index(tmp_path, lora, wavs):
    out = tmp_path / "out"
    files = export(lora, out, shard_bytes=20_000)
    shards = [name for name in files if name.endswith(".safetensors")]
    assert len(shards) > 2
    index = json.loads((out / "model.safetensors.index.json").read_text())
    assert set(index["weight_map"].values()) == set(shards)
    assert index["metadata"]["total_size"] == sum(t.nbytes for s in shards for t in load_file(out / s).values())
    check_same_weights(lora, out)


def test_merged_lora(tmp_path, lora, bases, wavs):
    out = tmp_path / "out"
    export(lora, out, kind="merged")
    assert not [name for name in load_file(out / "model.safetensors") if "lora" in name or "base_layer" in name]
    model, merged = open_run(lora).model.eval(), open_run(out).model
    rows, lengths = torch.randn(2, 5, 16), torch.tensor([5, 3])
    torch.testing.assert_close(merged.llm(rows, lengths)[0], model.llm(rows, lengths)[0], rtol=1e-4, atol=1e-5)
    assert translations(out, wavs) == translations(lora, wavs)
    plain = transformers.AutoModelForCausalLM.from_pretrained(bases / "llama").state_dict()
    changed = [name for name, tensor in plain.items() if not torch.equal(merged.llm.model.state_dict()[name], tensor)]
    assert len(changed) == 14  # the linear layers of two blocks


def test_trainable_weights_with_their_bases(trainable, lora, given, wavs, capsys):
    assert translations(trainable, wavs, base=given) == translations(lora, wavs)
    check_same_weights(lora, trainable, base=given)
    held = load_file(trainable / "aista_trainable.safetensors")
    assert {name.partition(".")[0] for name in held} == {"adapter"}
    bases = [f"--base={part}={folder}" for part, folder in given.items()]
    assert main(["translate", str(trainable), str(wavs[0]), *bases]) == 0
    assert capsys.readouterr().out == f"{wavs[0]}\t{escaped(translations(lora, wavs[:1])[0])}\n"


def test_lora_loads_by_peft(trainable, lora, bases):
    """What peft makes of the bare Llama computes what the run's LLM does."""
    from peft import PeftModel

    base = transformers.AutoModelForCausalLM.from_pretrained(bases / "llama")
    theirs = PeftModel.from_pretrained(base, trainable).eval()
    rows, lengths = torch.randn(2, 5, 16), torch.tensor([5, 5])
    llm = open_run(lora).model.llm
    final, _ = llm(rows, lengths)
    torch.testing.assert_close(theirs(inputs_embeds=rows).logits, llm.project(final), rtol=1e-4, atol=1e-5)


def test_another_base_is_refused(tmp_path, trainable, given, bases):
    other = tmp_path / "llama"
    shutil.copytree(bases / "llama", other)
    weights = load_file(other / "model.safetensors")
    weights["model.norm.weight"][0] += 1
    save_file(weights, other / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        RunError, match=r"--base llm=.*other weights than those .* trained on; expected 'llama' with sha"
    ):
        aista.load(trainable, base={**given, "llm": other})
    with pytest.raises(RunError, match=r"needs the base weights of the llm, 'llama' .*add --base llm=FOLDER"):
        aista.load(trainable, base={"encoder": given["encoder"]})
    with pytest.raises(RunError, match="needs base weights of encoder, llm, not of adapter"):
        aista.load(trainable, base={**given, "adapter": other})


def test_frozen_weights_that_the_base_lacks_go_along(tmp_path, lora, bases, given, wavs):
    """Frozen here is not the same as unchanged: another stage may have trained it."""
    run, base = tmp_path / "run", tmp_path / "whisper"
    shutil.copytree(lora, run)
    shutil.copytree(bases / "whisper", base)
    weights = load_file(base / "model.safetensors")
    weights["encoder.conv1.bias"] += 1
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    config = run / "config.yaml"
    config.write_text(config.read_text().partition("\n")[2].replace(str(bases / "whisper"), str(base)))
    export(run, tmp_path / "out", kind="trainable")
    held = load_file(tmp_path / "out" / "aista_trainable.safetensors")
    assert [name for name in held if name.startswith("encoder.")] == ["encoder.conv1.bias"]
    assert translations(tmp_path / "out", wavs, base={**given, "encoder": base}) == translations(lora, wavs)


def test_fingerprint_is_of_the_content(tmp_path):
    tensors = {"a": torch.randn(3, 4), "b": torch.randn(5)}
    for name in ("one", "two", "three", "four"):
        (tmp_path / name).mkdir()
    save_file(tensors, tmp_path / "one" / "model.safetensors")
    for name, tensor in tensors.items():  # sharded otherwise: the same
        save_file({name: tensor}, tmp_path / "two" / f"{name}.safetensors")
    save_file({**tensors, "a": tensors["a"].reshape(4, 3)}, tmp_path / "three" / "model.safetensors")
    save_file({"a": tensors["a"], "c": tensors["b"]}, tmp_path / "four" / "model.safetensors")
    one, two, three, four = (fingerprint(tmp_path / name) for name in ("one", "two", "three", "four"))
    assert one == two
    assert len({one, three, four}) == 3


def test_an_existing_folder_is_replaced_only_by_its_own_run(tmp_path, native, lora):
    out = tmp_path / "out"
    export(native, out)
    before = (out / "model.safetensors").read_bytes()
    export(native, out)
    assert (out / "model.safetensors").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    with pytest.raises(RunError, match="exists and is not this export of"):
        export(lora, out)
    (out / "README.md").write_text("license: mit")
    with pytest.raises(RunError, match=r"README\.md was added or changed after the export"):
        export(native, out)
    with pytest.raises(RunError, match="exists and is not this export of"):
        export(native, native)


def test_nothing_is_left_of_an_export_that_fails(tmp_path, native):
    with pytest.raises(RunError, match="no part of this run has LoRA"):
        export(native, tmp_path / "out", kind="merged")
    with pytest.raises(RunError, match="no part of its model starts from a base model's files"):
        export(native, tmp_path / "out", kind="trainable")
    assert not list(tmp_path.iterdir())


def test_wrong_runs(tmp_path, native, whole, capsys):
    run = tmp_path / "run"
    shutil.copytree(native, run)
    (run / "timing.json").unlink()
    assert main(["export", str(run), str(tmp_path / "out")]) == 1
    assert "its training is not finished" in capsys.readouterr().err
    assert main(["export", str(tmp_path), str(tmp_path / "out")]) == 1
    assert "not a run folder" in capsys.readouterr().err
    assert main(["export", str(native), str(tmp_path / "out"), "--checkpoint", "7"]) == 1
    assert f"no checkpoint '7'; it has steps {find_checkpoint(native).step}" in capsys.readouterr().err
    assert main(["export", str(native), str(tmp_path / "out"), "--shard-gb", "0"]) == 2
    with pytest.raises(RunError, match="with step 12 alone, got --checkpoint 7"):
        aista.load(whole, "7")
    with pytest.raises(RunError, match="--base is for folders that"):
        aista.load(native, base={"llm": tmp_path})
    with pytest.raises(RunError, match="holds all of its weights; leave --base out"):
        aista.load(whole, base={"llm": tmp_path})


def damage(out, change):
    file = out / "model.safetensors"
    file.write_bytes(change(file.read_bytes()))


def flip(content):
    """One bit of the last weight."""
    return content[:-1] + bytes([content[-1] ^ 1])


def reweigh(out, change):
    weights = load_file(out / "model.safetensors")
    change(weights)
    save_file(weights, out / "model.safetensors")


def edit(out, name, change):
    data = json.loads((out / name).read_text())
    change(data)
    (out / name).write_text(json.dumps(data))


def resign(out, **more):
    """As somebody does who wants the change to pass."""
    data = json.loads((out / "export.json").read_text())
    del data["sha256"]
    (out / "export.json").unlink()
    Record(**{**data, "files": hash_files(out) | more}).write(out)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda out: damage(out, flip), r"model\.safetensors: damaged: its SHA-256 is"),
        (lambda out: damage(out, lambda content: content[:-8]), r"model\.safetensors: damaged: its SHA-256 is"),
        (lambda out: (out / "model.safetensors").unlink(), r"model\.safetensors: missing; copy"),
        (lambda out: (out / "tokenizer.json").write_text("{}"), r"tokenizer\.json: damaged: its SHA-256 is"),
        (lambda out: edit(out, "llm/config.json", lambda d: d.update(rms_norm_eps=0.5)), r"llm/config\.json: damaged"),
        (lambda out: edit(out, "generation_config.json", lambda d: d.update(num_beams=1)), r"config\.json: damaged"),
        (lambda out: edit(out, "export.json", lambda d: d.update(step=7)), r"export\.json: damaged, or of another"),
        (lambda out: (out / "export.json").write_text("{"), r"export\.json is not valid JSON"),
        (lambda out: (out / "export.json").unlink(), r"export\.json: missing; copy"),
        (
            lambda out: (out / "chat_template.jinja").write_text("x"),
            r"chat_template\.jinja: was added after the export",
        ),
    ],
)
def test_spoilt_folders(tmp_path, whole, spoil, message):
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    aista.load(out)
    spoil(out)
    with pytest.raises(RunError, match=message):
        aista.load(out)


def test_weights_are_read_without_their_checksums_on_demand(tmp_path, whole, capsys):
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    damage(out, flip)
    name, expected = "model.safetensors", load_file(out / "model.safetensors")
    found = open_run(out, verify=False).model.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    damage(out, lambda content: b"\xff" * len(content))
    with pytest.raises(RunError, match=rf"{name} is damaged or no safetensors"):
        open_run(out, verify=False)


def test_what_users_add_and_edit_is_no_damage(tmp_path, whole):
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    (out / "README.md").write_text("license: mit")
    (out / "LICENSE").write_text("MIT")
    (out / ".cache" / "huggingface").mkdir(parents=True)
    (out / ".cache" / "huggingface" / "download.json").write_text("{}")
    aista.load(out)


def experiment(out, change):
    edit(out, "config.json", lambda config: change(config["experiment"]))


@pytest.mark.parametrize(
    ("spoil", "more", "message"),
    [
        (
            lambda out: reweigh(out, lambda weights: weights.pop(min(weights))),
            {},
            r"its weights lack 1 tensors of the model, e\.g\. adapter",
        ),
        (lambda out: reweigh(out, lambda weights: weights.update(x=torch.zeros(1))), {}, r"x \[1\] .*no such tensor"),
        (
            lambda out: reweigh(out, lambda weights: weights.update({k: v.long() for k, v in weights.items()})),
            {},
            r"int64 does not fit .* of torch\.float32",
        ),
        (lambda out: damage(out, lambda content: b"\xff" * len(content)), {}, "is damaged or no safetensors"),
        (lambda out: (out / "llm" / "model.bin").write_bytes(b""), {}, r"model\.bin: a format that can run"),
        (lambda out: experiment(out, lambda e: e.update(plugins=["x.py"])), {}, "which are code"),
        (
            lambda out: experiment(out, lambda e: e["llm"]["config"].update(path="../llama")),
            {},
            r"'\.\./llama' lies out",
        ),
        (lambda out: experiment(out, lambda e: e["llm"]["config"].update(path="/llama")), {}, r"'/llama' lies outside"),
        (lambda out: experiment(out, lambda e: e["tokenizer"]["config"].update(path="..")), {}, r"'\.\.' lies outside"),
        (lambda out: None, {"../model.safetensors": "0"}, r"'\.\./model\.safetensors' lies outside"),
        (lambda out: None, {"/model.safetensors": "0"}, r"'/model\.safetensors' lies outside"),
        (lambda out: (out / "llm" / "vocab.txt").symlink_to("/etc/passwd"), {}, r"'llm/vocab\.txt' lies outside"),
        (lambda out: (out / "link").symlink_to(out.parent), {}, "'link' lies outside"),
        (
            lambda out: edit(out, "llm/config.json", lambda d: d.update(_attn_implementation="evil/repo")),
            {},
            r"llm/config\.json: _attn_implementation is 'evil/repo'",
        ),
        (
            lambda out: edit(out, "llm/config.json", lambda d: d.update(intermediate_size=32)),
            {},
            r"does not fit the model that config\.json describes",
        ),
        (
            lambda out: edit(out, "llm/config.json", lambda d: d.update(num_hidden_layers=10**6)),
            {},
            "the config describes a model of over .* they do not belong together",
        ),
    ],
)
def test_planted_folders(tmp_path, whole, spoil, more, message):
    """Whoever plants something makes the checksums fit."""
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    spoil(out)
    resign(out, **more)
    with pytest.raises(AistaError, match=message):
        aista.load(out)


def test_an_export_follows_links_and_deletes_nothing_of_others(tmp_path, native):
    disk, out = tmp_path / "disk", tmp_path / "out"
    disk.mkdir()
    out.symlink_to(disk)
    export(native, out)
    export(native, out)
    assert out.is_symlink()
    assert (disk / "model.safetensors").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "out"]
    for name, make in {
        "notes.txt": lambda path: path.write_text("mine"),
        ".hidden": lambda path: path.write_text("mine"),
        "folder": lambda path: path.mkdir(),
        "broken": lambda path: path.symlink_to("nowhere"),
        "pipe": os.mkfifo,
    }.items():
        make(disk / name)
        with pytest.raises(RunError, match=rf"{name} was added or changed after the export; move it away"):
            export(native, out)
        assert os.path.lexists(disk / name)
        shutil.move(disk / name, tmp_path / "moved")
        shutil.rmtree(tmp_path / "moved") if (tmp_path / "moved").is_dir() else (tmp_path / "moved").unlink()
    damage(disk, flip)
    with pytest.raises(RunError, match=r"model\.safetensors was added or changed after the export"):
        export(native, out)


def test_a_file_that_comes_during_the_export_is_kept(tmp_path, native, monkeypatch):
    out = tmp_path / "out"
    export(native, out)

    def card(*args):
        (out / "mine.txt").write_text("mine")
        return "card"

    monkeypatch.setattr("aista.engine.export.write.model_card", card)
    with pytest.raises(RunError, match=r"mine\.txt was added"):
        export(native, out)
    assert (out / "mine.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_feature_out_of_a_plug_in_file_goes_along(tmp_path, native, clean_registry):
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "from aista.data.features.log_mel import LogMel, LogMelConfig\n"
        "from aista.registry import register\n"
        "@register('feature', 'mine', config=LogMelConfig)\n"
        "class Mine(LogMel):\n"
        "    '''Mine.'''\n"
    )
    run = tmp_path / "run"
    shutil.copytree(native, run)
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["plugins"], config["data"]["feature"]["name"] = [str(plugin)], "mine"
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    assert "plugins/mine.py" in export(run, tmp_path / "out")
    assert (tmp_path / "out/plugins/mine.py").read_text() == plugin.read_text()


def test_a_run_whose_bases_are_gone_decodes_and_exports_as_before(lora, bases, wavs, tmp_path, capsys):
    expected, out = translations(lora, wavs), tmp_path / "out"
    assert len(set(expected)) > 1
    hidden = bases.with_name("hidden")
    bases.rename(hidden)
    try:
        assert translations(lora, wavs) == expected
        for form in ([], ["--merge-lora"]):
            assert main(["export", str(lora), str(out), *form]) == 0
            assert translations(out, wavs) == expected
            shutil.rmtree(out)
        capsys.readouterr()
        assert main(["export", str(lora), str(out), "--trainable-only"]) in (1, 2)
        assert len(capsys.readouterr().err.splitlines()) == 1
        assert not any(path.suffix in (".safetensors", ".bin") for path in (lora / "assets").rglob("*"))
    finally:
        hidden.rename(bases)
