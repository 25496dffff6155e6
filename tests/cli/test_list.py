import itertools
import re

from aista import registry
from aista.kinds import KINDS


def test_every_kind_and_component_is_listed(aista):
    code, out, _ = aista("list")
    assert code == 0
    for kind in KINDS.values():
        assert f"{kind.name}: {kind.summary}" in out
        for name in registry.names(kind.name):
            assert re.search(rf"^  {name} +\S", out, re.MULTILINE), f"{kind.name}/{name}"


def test_one_kind(aista):
    code, out, _ = aista("list", "cost")
    assert code == 0
    assert out.splitlines()[0].startswith("cost: ")
    assert "  cosine       Cosine distance" in out
    assert "options" not in out
    assert "ot_solver" not in out


def test_one_kind_with_its_options(aista):
    out = aista("list", "ot_solver")[1]
    (line,) = (later for now, later in itertools.pairwise(out.splitlines()) if now.startswith("  sinkhorn  "))
    assert re.search(r"^ +options: .*epsilon, epsilon_scale, max_iterations", line)


def test_a_plugins_components_are_listed(aista, plugin):
    assert "test_chebyshev" not in aista("list", "cost")[1]
    assert "test_chebyshev  Largest difference of two states." in aista("list", "cost", "--plugin", plugin)[1]


def test_an_unknown_kind(aista):
    code, out, err = aista("list", "costs")
    assert (code, out) == (2, "")
    assert err.startswith("aista: unknown kind 'costs' (did you mean 'cost'?); known: adapter, ")


def test_a_missing_plugin(aista):
    code, _, err = aista("list", "--plugin", "none.py")
    assert code == 2
    assert err.startswith("aista: plug-in 'none.py': must be a Python file (.py), found none at ")
