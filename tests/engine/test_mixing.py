"""``data.mix``: parts by manifest and by column, their names, and every way to get it wrong."""

import json
from dataclasses import replace

import pytest

from aista.data.manifest import read_manifest, write_manifest
from aista.engine.batch_plan import training_loader
from aista.engine.cost.dry_run import dry_run
from aista.engine.inputs import load_training_splits
from aista.engine.mixing import MOST_NAMED, mix, plan_lines, plan_record, read_lines
from aista.errors import ConfigError, DataError
from aista.tasks.experiment import load_experiment
from aista.tasks.preflight import build_task
from tests.tiny import tiny_config, write_config


@pytest.fixture
def folder(tmp_path, corpus, monkeypatch):
    """The current folder, with large.tsv of 24 rows in French and small.tsv of 8 in German."""
    monkeypatch.chdir(tmp_path)
    for name, split, language in (("large", "train", "fr"), ("small", "test", "de")):
        rows = read_manifest(corpus / f"{split}.tsv").rows
        write_manifest(
            tmp_path / f"{name}.tsv",
            [
                replace(row, audio=str(corpus / row.audio), tgt_lang=language, speaker=f"s{number % 3}")
                for number, row in enumerate(rows)
            ],
        )
    return tmp_path


def load(folder, corpus, mix_config, *overrides):
    config = tiny_config(corpus)
    config["data"] |= {"train": "large.tsv", "speech": ["small.tsv"], "target_language": "", "mix": mix_config}
    return load_experiment(write_config(folder / "config.yaml", config), list(overrides))


def mixture(experiment):
    return mix(load_training_splits(experiment, build_task(experiment))["train"], experiment)


@pytest.mark.parametrize(
    ("config", "names", "sizes", "shares"),
    [
        ({}, ("large.tsv", "small.tsv"), [24, 8], [0.75, 0.25]),
        ({"temperature": 1e9}, ("large.tsv", "small.tsv"), [24, 8], [0.5, 0.5]),
        ({"weights": {"./small.tsv": 2}}, ("large.tsv", "small.tsv"), [24, 8], [0.6, 0.4]),
        ({"by": "tgt_lang", "weights": {"de": 3}}, ("de", "fr"), [8, 24], [0.5, 0.5]),
        ({"by": "speaker", "temperature": 1e9}, ("s0", "s1", "s2"), [11, 11, 10], [1 / 3] * 3),
    ],
)
def test_parts_and_shares(folder, corpus, config, names, sizes, shares):
    mixed = mixture(load(folder, corpus, config))
    assert (mixed.names, mixed.sizes.tolist(), mixed.shares) == (names, sizes, pytest.approx(shares))


def test_rows_of_a_column_are_parts_wherever_they_stand(folder, corpus):
    experiment = load(folder, corpus, {"by": "speaker"})
    split = load_training_splits(experiment, build_task(experiment))["train"]
    mixed = mix(split, experiment)
    assert [mixed.names[part] for part in mixed.part] == split.dataset.rows.texts("speaker")


def test_a_run_that_is_resumed_elsewhere_has_the_same_parts(folder, corpus, monkeypatch):
    config = {"weights": {"small.tsv": 2}}
    expected = mixture(load(folder, corpus, config))
    elsewhere = load_experiment(folder / "config.yaml", start=folder)
    monkeypatch.chdir("/")
    found = mixture(elsewhere)
    assert (found.names, found.shares) == (expected.names, expected.shares)


def test_without_a_mix_nothing_is_told_apart(folder, corpus):
    experiment = load(folder, corpus, None)
    split = load_training_splits(experiment, build_task(experiment))["train"]
    with training_loader(split, experiment, 0, 1) as loader:
        assert (loader.mixture, loader.rows_read(), next(iter(loader)).part_rows) == (None, {}, {})


@pytest.mark.parametrize(
    ("config", "overrides", "message"),
    [
        (
            {},
            ["data.speech=[]"],
            r"data\.mix: needs at least two parts, got one by manifest: 'large\.tsv'; name further",
        ),
        ({"by": "src_lang"}, [], r"data\.mix: needs at least two parts, got one by src_lang: 'en'"),
        (
            {},
            ["data.speech=[./large.tsv]"],
            r"a manifest must be named once, got large\.tsv 2 times .* data\.mix\.weights",
        ),
        (
            {"weights": {"smal.tsv": 2}},
            [],
            r"data\.mix\.weights: must name .* by manifest, got 'smal\.tsv' \(did you mean 'small\.tsv'\?\); parts: l",
        ),
        (
            {"by": "tgt_lang", "weights": {"es": 2}},
            [],
            r"must name parts of the training data by tgt_lang, got 'es'.*; parts: de, fr",
        ),
        ({"weights": {"small.tsv": 2, "./small.tsv": 3}}, [], r"must have one weight, got two for small\.tsv; remove"),
        (
            {"weights": {"small.tsv": 1e9}},
            [],
            r"data\.mix: an epoch must read .* got 9\.6e-08 rows of the 24 of 'large",
        ),
    ],
)
def test_a_mix_that_cannot_be_had_is_one_message(folder, corpus, config, overrides, message):
    with pytest.raises(DataError, match=message):
        mixture(load(folder, corpus, config, *overrides))


def test_rows_without_a_value_are_named(folder, corpus):
    rows = list(read_manifest(folder / "small.tsv").rows)
    write_manifest(
        folder / "small.tsv", [rows[0], replace(rows[1], speaker=""), replace(rows[2], speaker=""), *rows[3:]]
    )
    message = (
        r"data\.mix\.by: every row .* column speaker, got 2 of 32 rows without one, the first in small\.tsv:3: test1;"
    )
    with pytest.raises(DataError, match=message):
        mixture(load(folder, corpus, {"by": "speaker"}))


def test_a_part_whose_rows_are_all_bad_is_named(folder, corpus):
    rows = list(read_manifest(folder / "small.tsv").rows)
    write_manifest(folder / "small.tsv", [replace(row, tgt_text="") for row in rows])
    with pytest.raises(DataError, match=r"small\.tsv: 8 rows, 0 good(.|\n)*no row is left; correct the manifest"):
        mixture(load(folder, corpus, {}, "data.on_bad_rows=drop"))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"temperature": 0}, r"data\.mix\.temperature: must be greater than 0, got 0"),
        ({"temperature": float("inf")}, r"data\.mix\.temperature: must be finite, got inf"),
        ({"weights": {"small.tsv": 0}}, r"data\.mix\.weights\.small\.tsv: must be greater than 0, got 0"),
        ({"weights": {"small.tsv": -1}}, r"data\.mix\.weights\.small\.tsv: must be greater than 0, got -1"),
        ({"weights": {"small.tsv": float("nan")}}, r"data\.mix\.weights\.small\.tsv: expects a number, got nan"),
        (
            {"by": "language"},
            r"data\.mix\.by: expects one of 'manifest', 'src_lang', 'tgt_lang', 'speaker', 'task', got ",
        ),
        ({"temprature": 5}, r"data\.mix\.temprature: unknown option \(did you mean 'temperature'\?\)"),
    ],
)
def test_options_that_cannot_be_are_faults_of_the_config(folder, corpus, config, message):
    with pytest.raises(ConfigError, match=message):
        load(folder, corpus, config)


def test_what_does_not_go_with_a_mix_is_refused(folder, corpus):
    with pytest.raises(ConfigError, match=r"mix reads rows .* got length_noise 0; raise it or remove mix"):
        load(folder, corpus, {}, "data.length_noise=0")
    with pytest.raises(ConfigError, match=r"mix does not work with stream 'webdataset', .*: each shard is read once"):
        load(
            folder, corpus, {}, "data.train=null", "data.speech=[]", "data.stream={name: webdataset, config: {path: x}}"
        )


def test_ids_of_two_manifests_are_told(folder, corpus, caplog):
    write_manifest(folder / "small.tsv", read_manifest(folder / "large.tsv").rows[3:5])
    mixed = mixture(load(folder, corpus, {"temperature": 1e9}))
    assert mixed.sizes.tolist() == [24, 2]
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(told) == 1
    assert told[0].startswith(
        "small.tsv: 2 of its 2 ids are those of rows of large.tsv too, the first 'train3' (lines 2 and 5)"
    )


def test_a_dry_run_prints_the_planned_shares_and_costs_them(folder, corpus):
    metrics = "evaluation.metrics=[{name: bleu, config: {tokenize: 13a}}]"
    plain, found = (dry_run(load(folder, corpus, config, metrics)) for config in (None, {"temperature": 1e9}))
    lines = str(found).splitlines()
    place = lines.index("data.mix: what an epoch reads of each part")
    cells = [line.split() for line in lines[place + 1 : place + 4]]
    assert " ".join(cells[0]) == "part rows hours share an epoch reads hours share passes"
    assert [row[:2] + row[3:6] + row[7:] for row in cells[1:]] == [
        ["large.tsv", "24", "75.00%", "->", "16.0", "50.00%", "0.67"],
        ["small.tsv", "8", "25.00%", "->", "16.0", "50.00%", "2.00"],
    ]
    record = json.loads(json.dumps(found.to_json()))
    assert [part["epoch_rows"] for part in record["mix"]] == pytest.approx([16, 16])
    assert record["cost"]["rows"]["count"] == plain.to_json()["cost"]["rows"]["count"] == 32
    assert plain.to_json()["mix"] == []
    assert "data.mix" not in str(plain)


def test_very_many_parts_are_counted_rather_than_listed(folder, corpus):
    rows = read_manifest(folder / "large.tsv").rows
    many = [replace(row, id=f"{row.id}_{n}", speaker=f"{row.id}_{n}") for n in range(3) for row in rows]
    write_manifest(folder / "large.tsv", many)
    experiment = load(folder, corpus, {"by": "speaker"})
    split = load_training_splits(experiment, build_task(experiment))["train"]
    mixed = mix(split, experiment)
    assert len(mixed.names) == 72 + 3
    more = f"... and {75 - MOST_NAMED} more parts"
    assert plan_lines(plan_record(mixed, split))[-1] == more
    assert read_lines(mixed, dict.fromkeys(mixed.names, 2))[-1] == more
    with training_loader(split, experiment, 0, 1) as loader:
        assert next(iter(loader)).part_rows == {}
        assert sum(loader.rows_read().values()) == 8


def test_a_stage_mixes_its_own_texts_and_not_as_the_main_model_does(folder, corpus):
    mixed_stage = {"data": {"mix": {"weights": {"small.tsv": 3}}}}
    stages = [
        {"name": "plain", "task": "text_translation", "part": "llm"},
        {"name": "mixed", "task": "text_translation", "part": "llm", "config": mixed_stage},
    ]
    experiment = load(folder, corpus, {"by": "speaker"}, "data.text=[small.tsv]", f"pretraining={json.dumps(stages)}")
    plain, mixed = (experiment.stage(stage) for stage in experiment.sections.pretraining)
    assert mixture(plain) is None
    split = load_training_splits(mixed, build_task(mixed))["train"]
    found = mix(split, mixed)
    assert (found.names, found.shares) == (("large.tsv", "small.tsv"), pytest.approx((0.5, 0.5)))
    assert [line.split()[2] for line in plan_lines(plan_record(found, split))[1:]] == ["hours", "-", "-"]
    with training_loader(split, mixed, 0, 1) as loader:
        batch = next(iter(loader))
    assert sum(batch.part_rows.values()) == len(batch)
