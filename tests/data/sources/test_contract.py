from __future__ import annotations

import pytest

from aista import registry
from aista.testing.contracts import run


@pytest.mark.parametrize("name", registry.names("source"))
def test_every_layout_keeps_the_contract(name: str) -> None:
    outcomes = run("source", name)
    assert len(outcomes) > 2
    assert [str(outcome) for outcome in outcomes if outcome.status != "PASS"] == []
