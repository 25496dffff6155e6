import importlib
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

import aista.testing
from aista import registry
from aista.errors import RegistryError
from aista.kinds import KINDS
from aista.schema import Options, option, required
from aista.testing import contracts
from aista.testing.contracts import Outcome, run

TESTED = sorted(
    path.stem
    for path in Path(aista.testing.__file__).parent.glob("*.py")
    if not path.stem.startswith("_") and path.stem not in ("contracts", "dummies", "options", "tensors")
)


def test_contracts_exist_for_the_kinds_that_others_extend():
    assert set(TESTED) <= set(KINDS)
    # These need folders or somebody's service; their own tests say what they must do.
    assert set(KINDS) - set(TESTED) == {"dataset", "stream", "tracker"}


@pytest.mark.parametrize("kind", TESTED)
def test_every_contract_has_a_component_that_breaks_it(kind):
    broken = importlib.import_module(f"tests.testing.test_{kind}")
    assert {check for check, _, _ in broken.CASES} == set(contracts.contracts(kind))


CONFORMER = {"name": "conformer", "config": {"model_dim": 16, "num_layers": 1, "num_heads": 2, "ffn_dim": 16}}
SMALL = {  # where the defaults are of a size that is worth training
    "conformer": CONFORMER["config"],
    "wav2vec2": {
        "model_dim": 16,
        "num_layers": 1,
        "num_heads": 2,
        "ffn_dim": 16,
        "conv_dim": 8,
        "position_kernel": 8,
        "position_groups": 2,
    },
    "w2v_bert": CONFORMER["config"],
    "ctc_asr": {"encoder": CONFORMER},
    "speech_translation": {"encoder": CONFORMER},
}
COMPONENTS = [(kind, name) for kind in KINDS for name in registry.names(kind)]


@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_every_built_in_component_keeps_its_contracts(kind, name):
    outcomes = run(kind, name, SMALL.get(name))
    assert outcomes
    assert not [str(outcome) for outcome in outcomes if outcome.status == "FAIL"]


@dataclass(frozen=True, kw_only=True)
class GainConfig(Options):
    gain: float = option(1.0, "A factor.", above=0)


@pytest.fixture
def gain(clean_registry):
    @registry.register("cost", "test_gain", config=GainConfig)
    def build(config):
        """Build a cost with a gain."""
        if config.gain == 13:
            raise ValueError("gain must not be 13")
        if config.gain == 14:
            return lambda x, y: 1 / 0
        if config.gain == 15:
            return lambda x, y: (x[..., :, None, :] - y[..., None, :, :]).square().sum(-1).double() + x.sum()
        return lambda x, y: config.gain * (x[..., :, None, :] - y[..., None, :, :]).square().sum(-1)


def outcomes(config=None):
    return {outcome.contract: (outcome.status, outcome.reason) for outcome in run("cost", "test_gain", config)}


def test_all_contracts_are_run_with_the_options_given(gain):
    found = outcomes({"gain": 2})
    assert list(found) == [
        "constructs",
        "documented",
        "frozen_options",
        "options_round_trip",
        "shapes",
        "pairwise",
        "leading_dimensions",
        "gradients",
    ]
    assert set(found.values()) == {("PASS", "")}


def test_options_that_are_rejected_fail_the_build(gain):
    assert outcomes({"gain": -1}) == {
        "constructs": ("FAIL", "config: 1 fault cost.config.gain: must be greater than 0, got -1.0")
    }
    assert outcomes({"gain": 13}) == {"constructs": ("FAIL", "config: 1 fault cost.config: gain must not be 13")}


def test_a_component_that_raises_fails_once(gain):
    found = outcomes({"gain": 14})
    status, reason = found["shapes"]
    assert status == "FAIL"
    assert re.fullmatch(r".*test_contracts\.py:\d+: ZeroDivisionError: division by zero", reason)
    assert found["pairwise"] == found["gradients"] == ("SKIPPED", "mend shapes first")


def test_what_fails_otherwise_is_reported_beside(gain):
    assert [outcomes({"gain": 15})[check][0] for check in ("shapes", "pairwise")] == ["FAIL"] * 2


def test_required_options_that_are_missing_are_skipped_aloud(clean_registry):
    @dataclass(frozen=True, kw_only=True)
    class NeedsFolder(Options):
        path: str = required("Folder of the model.")

    NeedsFolder.__annotations__["path"] = "str"
    registry.register("cost", "test_folder", config=NeedsFolder)(lambda config: None)
    skipped = [outcome for outcome in run("cost", "test_folder") if outcome.status == "SKIPPED"]
    assert len(skipped) == len([contracts.CONSTRUCTS, *contracts.contracts("cost")])
    reason = "needs config.path (Folder of the model); give it with --set path=..."
    assert {outcome.reason for outcome in skipped} == {reason}


def test_unknown_components_and_outcomes_as_text():
    with pytest.raises(RegistryError, match="unknown cost 'cosin'"):
        run("cost", "cosin")
    assert str(Outcome("cost", "x", "shapes", "PASS")) == "PASS    cost/x shapes"
    assert str(Outcome("cost", "x", "shapes", "FAIL", "no")) == "FAIL    cost/x shapes: no"
