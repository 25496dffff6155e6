"""Training and decoding beside plain transformers, at the size of Whisper tiny and SmolLM2 135M.

    OMP_NUM_THREADS=1 python -m pytest benchmarks/test_pretrained.py -s

Writes ``benchmarks/results/pretrained_cpu.md`` and ``.csv``; with ``--whisper FOLDER --llm FOLDER`` it takes real
models and writes ``pretrained_real_cpu``. ``--rounds 1`` tries it out.

What is compared computes the same: losses, gradients and translations are compared before anything is timed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from aista.modules.generation import left_pad
from aista.modules.llms.base import GenerationConfig
from aista.types import SpeechBatch
from benchmarks import pretrained_page
from benchmarks.plain import PLAIN, PLAIN_SHORT, PlainModel, collate, plain_dataset, train_plainly, translate_plainly
from benchmarks.pretrained import WINDOW, Aista, Rows
from benchmarks.shapes import SHAPES, Folders, make_folders
from benchmarks.turns import Result, summarize, take_turns, write_results

BATCH, POOL, NEW_TOKENS = 8, 64, 32
OURS, ALIGNED = "aista, CE only", "aista, AI-STA at layers 0-1"
RESULTS = Path(__file__).parent / "results"


@pytest.fixture(scope="module")
def folders(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Folders:
    whisper, llm = (request.config.getoption(name) for name in ("whisper", "llm"))
    if (whisper is None) != (llm is None):
        pytest.fail("--whisper and --llm go together: name both folders, or neither")
    if whisper is None:
        return make_folders(tmp_path_factory.mktemp("models"), SHAPES["smollm"])
    return Folders(whisper, llm)


@pytest.fixture(scope="module")
def pair(folders: Folders) -> tuple[Aista, PlainModel]:
    """Both systems with the same weights."""
    torch.set_num_threads(1)
    ours = Aista(folders)
    return ours, PlainModel(folders, ours)


@pytest.fixture(scope="module")
def rounds(request: pytest.FixtureRequest) -> int:
    number: int = request.config.getoption("rounds")
    return number


@pytest.fixture(scope="module")
def record(request: pytest.FixtureRequest, folders: Folders) -> Iterator[list[Result]]:
    """Collects results; they are written behind the last test if all went well."""
    failed, results = request.session.testsfailed, []
    yield results
    if results and request.session.testsfailed == failed:
        name = "pretrained_cpu" if request.config.getoption("llm") is None else "pretrained_real_cpu"
        write_results(results, RESULTS / f"{name}.csv")
        pretrained_page.write(results, RESULTS / f"{name}.md", folders, real=name != "pretrained_cpu")


def batches(rows: Rows, kind: str) -> list[list[int]]:
    """Two batches: as rows come, or of rows of similar length, as ``aista.data.batching`` forms them."""
    numbers = list(range(POOL))
    if kind == "by length":
        numbers.sort(key=lambda number: len(rows.features[number]))
        return [numbers[2 * BATCH : 3 * BATCH], numbers[5 * BATCH : 6 * BATCH]]
    return [numbers[:BATCH], numbers[BATCH : 2 * BATCH]]


@pytest.mark.parametrize("kind", ["as they come", "by length"])
def test_training(
    benchmark: Any, pair: tuple[Aista, PlainModel], record: list[Result], rounds: int, kind: str, tmp_path: Path
) -> None:
    """Goals: 1.2 times the speed of plain transformers; AI-STA at most 1.05 of CE only."""
    ours, plain = pair
    rows = Rows.draw(POOL, vocab_size=ours.task.tokenizer.vocab_size)
    chosen = batches(rows, kind)
    ready = [rows.batch(numbers) for numbers in chosen]
    dataset = plain_dataset(rows, [number for numbers in chosen for number in numbers], ours)
    check_same_step(ours, plain, ready[0], collate(dataset[:BATCH]))

    ours.model.train()
    our_optimizer, their_optimizer = (make_optimizer(model) for model in (ours.model, plain))

    def train_here(layers: tuple[int, ...]) -> float:
        ours.align(layers)
        return sum(our_step(ours, our_optimizer, batch) for batch in ready)

    def train_there(own_length: bool) -> float:
        plain.own_length = own_length
        return sum(train_plainly(plain, dataset, their_optimizer, batch_size=BATCH, folder=tmp_path))

    seconds = measure(
        benchmark,
        {
            PLAIN: lambda: train_there(False),
            PLAIN_SHORT: lambda: train_there(True),
            OURS: lambda: train_here(()),
            ALIGNED: lambda: train_here((0, 1)),
        },
        rounds,
    )
    sizes = {
        "tokens": sum(batch.num_targets for batch in ready),
        "positions": sum(len(item["input_ids"]) - 1 for item in dataset),  # nothing follows EOS
    }
    before = len(record)
    for question, against, names in (
        ("training", PLAIN_SHORT, (PLAIN_SHORT, OURS, ALIGNED)),
        ("training, 30 s", PLAIN, (PLAIN, OURS, ALIGNED)),
        ("alignment", OURS, (OURS, ALIGNED)),
    ):
        compared = {name: seconds[name] for name in names}
        record += summarize(compared, question=question, workload=f"batches {kind}", against=against, **sizes)
    report(record[before:])


@pytest.mark.parametrize("beams", [1, 4])
def test_decoding(
    benchmark: Any, pair: tuple[Aista, PlainModel], record: list[Result], rounds: int, beams: int
) -> None:
    """Goal: at least the speed of ``generate`` on the same embeddings, and the same tokens."""
    ours, plain = pair
    rows = Rows.draw(POOL, vocab_size=ours.task.tokenizer.vocab_size)
    batch = rows.batch(batches(rows, "by length")[0])
    llm = ours.model.eval().llm
    plain.eval().take_over(ours)
    ids = {"eos_id": ours.model.eos_id, "pad_id": ours.task.tokenizer.pad_id}
    with torch.no_grad():
        speech = ours.model.encode_speech(batch.audio, batch.audio_lengths)
        packed = ours.model.prompt.pack(llm, *speech)
    padded, mask = left_pad(packed.embeddings, packed.lengths)
    found: dict[str, list[list[int]]] = {}

    def here() -> None:
        config = GenerationConfig(beam_size=beams, max_new_tokens=NEW_TOKENS)
        best = llm.generate(packed.embeddings, packed.lengths, config, **ids)
        found[OURS] = [list(hypotheses[0].ids) for hypotheses in best]

    def there() -> None:
        found[PLAIN] = translate_plainly(plain, padded, mask.long(), beams=beams, new_tokens=NEW_TOKENS, **ids)

    timed = {"transformers generate": lambda: clock(there), "aista": lambda: clock(here)}
    here(), there()
    assert found[OURS] == found[PLAIN], "the translations differ"
    seconds = measure(benchmark, timed, rounds)
    assert found[OURS] == found[PLAIN], "the translations differ"
    tokens = sum(len(row) + 1 for row in found[OURS])
    positions = int(packed.lengths.sum()) + tokens
    workload = "greedy" if beams == 1 else f"beam {beams}"
    record += summarize(
        seconds,
        question="decoding",
        workload=workload,
        against="transformers generate",
        tokens=tokens,
        positions=positions,
    )
    report(record[-2:])


def measure(benchmark: Any, rows: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {}
    benchmark.pedantic(lambda: seconds.update(take_turns(rows, rounds)), rounds=1)
    return seconds


def report(results: Sequence[Result]) -> None:
    for result in results:
        ratio = f"{result.ratio_q25:.3f} / {result.ratio:.3f} / {result.ratio_q75:.3f}"
        print(
            f"\n{result.question}, {result.workload}: {result.row}: {result.p50_s:.2f} s, "
            f"{result.tokens_per_s:.1f} tokens/s, speed over {result.against} {ratio}",
            end="",
        )


def clock(function: Callable[[], None]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def make_optimizer(model: torch.nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-5)


def our_step(ours: Aista, optimizer: torch.optim.Optimizer, batch: SpeechBatch) -> float:
    """The operations of Trainer in a step: loss, gradients clipped at 1, update."""
    started = time.perf_counter()
    loss = ours.task.loss(ours.model, batch)
    (loss.total / loss.num_targets).backward()
    torch.nn.utils.clip_grad_norm_(ours.model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return time.perf_counter() - started


def check_same_step(ours: Aista, plain: PlainModel, batch: SpeechBatch, other: dict[str, Tensor]) -> None:
    """Loss and gradients are equal within rounding, without dropout; so are the states of padded clips."""
    plain.take_over(ours)
    ours.model.eval()
    plain.eval()
    ours.align(())
    plain.own_length = True
    loss = ours.task.loss(ours.model, batch)
    mean = loss.total / loss.num_targets
    mean.backward()
    reference = plain(**other).loss
    reference.backward()
    torch.testing.assert_close(mean, reference, rtol=1e-5, atol=0)
    mine = {name: p.grad for name, p in ours.model.named_parameters() if p.requires_grad}
    theirs = {plain.name_in_aista(name): p.grad for name, p in plain.named_parameters() if p.requires_grad}
    assert mine.keys() == theirs.keys()
    difference, size = (
        torch.cat([f(name).flatten() for name in mine]).norm()
        for f in (lambda name: mine[name] - theirs[name], lambda name: theirs[name])
    )
    assert difference < 1e-4 * size, f"gradients differ by {float(difference / size):.1e}"
    ours.model.zero_grad()
    plain.zero_grad()
    with torch.no_grad():
        windows = torch.nn.functional.pad(batch.audio, (0, 0, 0, WINDOW - batch.audio.size(1)))
        states, _ = ours.model.encoder(windows, torch.full((len(batch),), WINDOW))
        torch.testing.assert_close(
            states, plain.encoder(windows.transpose(1, 2)).last_hidden_state, rtol=1e-3, atol=1e-4
        )
