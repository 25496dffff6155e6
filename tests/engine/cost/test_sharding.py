"""What FSDP2 leaves on each process, measured on two of them."""

import json
import os
import subprocess
import sys

import pytest

from aista.engine.cost.memory_estimate import estimate_memory, weigh
from aista.engine.cost.trace import Trace

from .configs import prepare, tiny

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
WIDE = ["encoder.config.model_dim=64", "encoder.config.ffn_dim=128"]


@pytest.mark.slow
@pytest.mark.parametrize("tuning", ["full", "{name: lora, config: {r: 4}}"], ids=["full", "lora"])
def test_weights_gradients_and_optimizer_state_of_two_processes(tmp_path, corpus, llama, tuning):
    overrides = [*WIDE, f"llm.tuning={tuning}"]
    arguments = ["-m", "tests.engine.cost.sharded", str(tmp_path), str(corpus), str(llama), *overrides]
    result = subprocess.run(
        [*TORCHRUN, *arguments], env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr[-3000:]
    found = json.loads(result.stdout.splitlines()[-1])
    _, model, _ = prepare(tiny(tmp_path, corpus, llama, *overrides, kind="hugging face"))
    estimate = estimate_memory(weigh(model), Trace(), processes=2, sharded=True)
    for name, held in found.items():
        # Rows are not split: the first process may hold one row more of each parameter.
        assert getattr(estimate, name) == pytest.approx(held, rel=0.02), name
