import csv
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.training_step import __main__ as command
from benchmarks.training_step import gates
from benchmarks.training_step.prediction import find_device

ROOT = Path(__file__).parents[3]
WITHOUT = """
import sys

for name in ("fairseq2", "fairseq2n", "ot", "soundfile", "espeakng_loader"):
    sys.modules[name] = None  # importing them raises ImportError

import benchmarks.training_step.__main__ as command
sys.exit(command.main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_a_step_is_checked_timed_and_recorded_without_fairseq2(tmp_path):
    arguments = ["--preset", "tiny", "--rounds", "1", "--peak-tflops", "2", "--out", str(tmp_path)]
    program = [sys.executable, "-c", WITHOUT, *arguments]
    result = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr + result.stdout
    assert "FAILED" not in result.stdout
    with (tmp_path / "training_step_tiny_cpu.csv").open(encoding="utf-8", newline="") as stream:
        rows = {row["row"]: row for row in csv.DictReader(stream)}
    assert [name.partition(",")[0] for name in rows] == ["plain loop"] * 2 + ["aista"] * 3
    for row in rows.values():
        assert float(row["mfu"]) == pytest.approx(float(row["tflop"]) / float(row["p50_s"]) / 2, rel=1e-3)
        assert torch.__version__.startswith(row["torch"])
    only, shallow, everywhere = (float(row["tflop"]) for name, row in rows.items() if name.startswith("aista"))
    assert only < shallow < everywhere, "alignment at more layers takes more operations"
    page = (tmp_path / "training_step_tiny_cpu.md").read_text(encoding="utf-8")
    assert "- passed: aista, CE only: loss differs from the plain loop's by " in page
    assert "2 TFLOP/s (--peak-tflops)" in page


def test_a_failed_gate_is_printed_and_nothing_is_timed(capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(gates.BOUNDS, torch.float32, -1.0)
    assert command.main(["--preset", "tiny", "--out", str(tmp_path)]) == 1
    failed = [line for line in capsys.readouterr().out.splitlines() if "FAILED" in line]
    assert len(failed) == 1
    assert failed[0].startswith("tiny: FAILED: aista, CE only: loss differs from the plain loop's by ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_the_users_mistake(capsys):
    assert command.main(["--device", "cuda"]) == 2
    assert capsys.readouterr().err == "benchmarks.training_step: --device cuda: torch finds no GPU here\n"


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("NVIDIA H200", "NVIDIA H200 SXM"),
        ("NVIDIA H100 80GB HBM3", "NVIDIA H100 SXM"),
        ("NVIDIA A100-SXM4-80GB", "NVIDIA A100 80 GB SXM"),
        ("NVIDIA H100 PCIe", None),
        ("NVIDIA GH200 480GB", None),
    ],
)
def test_a_data_sheet_is_found_by_the_name_of_the_gpu(name, title):
    device = find_device(name)
    assert (device and device.title) == title
