"""Damaged run folders: a command does what it does with the whole one, or says what is wrong, without a traceback."""

import contextlib
import copy
import io
import json
import shutil

import pytest
from hypothesis import strategies as st

from aista.cli.main import main
from aista.run_folder.metric_records import read_records
from tests.fuzz import fuzzed
from tests.tiny import make_corpus
from tests.trained import train_run


class Results(dict):
    """What commands make, not shown where an example fails: it is a megabyte."""

    def __repr__(self):
        return f"results of {', '.join(self)}"


SHARES = st.floats(0, 1, exclude_max=True)
VALUES = st.sampled_from([None, True, "", "x", -1, 10**400, 1e308, float("nan"), float("inf"), [], [[]], {}, {"a": 1}])
DAMAGES = st.one_of(
    st.tuples(st.just("flip"), SHARES, st.integers(0, 7)),
    st.tuples(st.just("cut"), SHARES),
    st.tuples(st.just("garbage"), st.binary(max_size=64)),
    st.tuples(st.just("delete")),
    st.tuples(st.just("folder")),
    st.tuples(st.just("swap"), SHARES),
    st.tuples(st.just("value"), SHARES, VALUES),
    st.tuples(st.just("key"), SHARES),
    st.tuples(st.just("edit"), SHARES, VALUES),
)
UNREAD = ("engine/", "checkpoints/model.yaml")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("tones") / "corpus")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, corpus):
    """A finished run with results, and the same one as a kill at step 3 would have left it."""
    folder = tmp_path_factory.mktemp("trained")
    run = train_run(folder, corpus)
    cut = shutil.copytree(run, folder / "cut")
    shutil.rmtree(cut / "checkpoints" / "step_4")
    for name in ("timing.json", "checkpoints/scores/step_4.txt"):
        (cut / name).unlink()
    return run


@pytest.fixture(scope="module")
def undamaged(trained, corpus, folder):
    """Command -> what it prints and writes."""
    results = Results()
    for command in COMMANDS:
        place(trained, command, folder)
        code, results[command], printed = outcome(command, folder, corpus, trained)
        assert code == 0, printed
        for path in folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return results


COMMANDS = {
    "train": lambda run, corpus, other: [str(run)],
    "evaluate": lambda run, corpus, other: [str(run)],
    "translate": lambda run, corpus, other: [str(run), str(corpus / "audio" / "test0.wav")],
    "probe": lambda run, corpus, other: [str(run), "--size", "4", "--resamples", "0", "--name", "again"],
    "export": lambda run, corpus, other: [str(run), str(run.parent / "out")],
    "report": lambda run, corpus, other: [str(run), "--out", str(run.parent / "out.html"), "--audio", "0"],
    "compare": lambda run, corpus, other: [str(other), str(run), "--samples", "50"],
}


def place(trained, command, folder):
    return shutil.copytree(trained.parent / "cut" if command == "train" else trained, folder / "run")


def outcome(command, folder, corpus, trained):
    """Exit code, what was made, and what was printed."""
    run, out, err = folder / "run", io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([command, *COMMANDS[command](run, corpus, trained)])
    made = {}
    if code == 0:
        made = {"translate": lambda: out.getvalue(), "compare": lambda: out.getvalue()}.get(
            command, lambda: contents(folder, command)
        )()
    return code, made, out.getvalue() + err.getvalue()


def contents(folder, command):
    run = folder / "run"
    if command == "train":
        weights = run / "checkpoints" / "step_4" / "model" / "pp_00" / "tp_00" / "sdp_00.pt"
        return weights.read_bytes(), losses(run), json.loads((run / "selection.json").read_bytes()), scores(run)
    if command == "evaluate":
        table = json.loads((run / "evaluation" / "test" / "scores.json").read_text())
        return (run / "evaluation" / "test" / "hypotheses.tsv").read_bytes(), table["scores"], table["checkpoint"]
    if command == "probe":
        return [(run / "probe" / f"again{name}.json").read_bytes() for name in ("", "_plan")]
    if command == "export":
        return {path.name: path.read_bytes() for path in sorted((folder / "out").rglob("*")) if path.is_file()}
    return (folder / "out.html").read_bytes()


def losses(run):
    kept = ("step", "nll", "grad_norm", "bleu", "score")
    files = [read_records(run / "metrics" / f"{split}.jsonl") for split in ("train", "valid")]
    return [[{name: record[name] for name in kept if name in record} for record in records] for records in files]


def scores(run):
    return [(run / "checkpoints" / "scores" / f"step_{step}.txt").read_text() for step in (2, 4)]


def files_of(run):
    paths = sorted(path for path in run.rglob("*") if path.is_file() and path.suffix not in (".lock", ".png", ".csv"))
    return [path for path in paths if not path.relative_to(run).as_posix().startswith(UNREAD)]


def damage(run, file, kind, *arguments):
    content = file.read_bytes()
    if kind == "flip":
        share, bit = arguments
        at = int(share * len(content))
        file.write_bytes(content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :])
    elif kind == "cut":
        file.write_bytes(content[: int(arguments[0] * len(content))])
    elif kind == "garbage":
        file.write_bytes(arguments[0])
    elif kind in ("delete", "folder"):
        file.unlink()
        if kind == "folder":
            file.mkdir()
    elif kind == "swap":
        files = files_of(run)
        file.write_bytes(files[int(arguments[0] * len(files))].read_bytes())
    else:
        file.write_text(mutated(file, kind, *arguments))


def mutated(file, kind, share, value=None):
    """One value of the JSON changed or one key removed; an edit takes its checksum away, as a hand would."""
    lines = (
        file.read_text(errors="replace").splitlines() if file.suffix == ".jsonl" else [file.read_text(errors="replace")]
    )
    at = int(share * len(lines))
    try:
        data = json.loads(lines[at])
    except ValueError:
        return "".join(lines)[1:]
    places = list(paths_in(data))
    if not places:
        return ""
    *path, last = places[int(share * 7919 * len(places)) % len(places)]
    target = data
    for key in path:
        target = target[key]
    if kind == "key":
        del target[last]
    else:
        target[last] = copy.deepcopy(value)
    if kind == "edit" and isinstance(data, dict):
        data.pop("checksum", None)
    lines[at] = json.dumps(data)
    return "\n".join(lines) + "\n" * (file.suffix == ".jsonl")


def paths_in(data):
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield (key,)
        yield from ((key, *path) for path in paths_in(value))


@pytest.mark.slow
@fuzzed(examples=20, patience=10.0, command=st.sampled_from(sorted(COMMANDS)), which=SHARES, damages=DAMAGES)
def test_a_damaged_run_folder_is_used_as_the_whole_one_or_refused(
    trained, undamaged, corpus, folder, command, which, damages
):
    run = place(trained, command, folder)
    files = files_of(run)
    file = files[int(which * len(files))]
    damage(run, file, *damages)
    code, made, printed = outcome(command, folder, corpus, trained)
    assert code in (0, 1, 2)
    assert "Traceback" not in printed
    if code:
        assert "aista: " in printed or str(file) in printed
    elif damages == ("delete",) and file.parent.name == "probe":
        pass  # a run without this probe, of which there may be any number
    elif damages[0] != "edit" and made != undamaged[command]:
        assert file.name in printed or "its training is not complete" in printed, "a silent difference"
