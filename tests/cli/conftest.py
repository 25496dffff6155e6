import pytest

from aista.cli.main import main

PLUGIN = '''
"""A cost of one's own."""

from dataclasses import dataclass

import torch

from aista.registry import register
from aista.schema import Options, option


@dataclass(frozen=True, kw_only=True)
class ChebyshevConfig(Options):
    scale: float = option(1.0, "Factor of the distance.", above=0)


@register("cost", "test_chebyshev", config=ChebyshevConfig)
class Chebyshev:
    """Largest difference of two states."""

    def __init__(self, config):
        self.scale = config.scale

    def __call__(self, x, y):
        return self.scale * (x[..., :, None, :] - y[..., None, :, :]).abs().amax(-1)
'''


@pytest.fixture
def plugin(tmp_path, clean_registry):
    path = tmp_path / "my_cost.py"
    path.write_text(PLUGIN)
    return path


@pytest.fixture
def aista(capsys):
    """Run a command; returns its exit code, standard output and standard error."""

    def aista(*arguments):
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = stop.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return aista
