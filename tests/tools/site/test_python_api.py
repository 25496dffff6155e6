from types import ModuleType

import pytest

import aista.losses
from tools.site.python_api import imported_modules, module_page, public_names


def test_modules_are_those_that_texts_import():
    texts = ["```python\nfrom aista.losses import Sinkhorn\nimport aista\n```", "    from aista.pooling import pool"]
    assert imported_modules([*texts, "We import aista.types from nowhere."]) == [
        "aista",
        "aista.losses",
        "aista.pooling",
    ]


def test_names_are_placed_where_they_are_defined():
    places = public_names(aista.losses)
    assert list(places) == aista.losses.__all__
    assert places["Sinkhorn"] == "aista.losses.solvers.sinkhorn.Sinkhorn"
    page = module_page("aista.losses")
    assert "\n## from_cost\n\n::: aista.losses.solvers.problem.from_cost\n" in page


def test_a_name_without_a_docstring_is_refused():
    module = ModuleType("silent")
    with pytest.raises(ValueError, match="silent: documentation imports it, so it needs __all__"):
        public_names(module)
    module.__all__ = ["function"]
    module.function = lambda: None
    with pytest.raises(ValueError, match=r"silent\.function: public and without a docstring"):
        public_names(module)
