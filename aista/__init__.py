"""aista: adaptive inner speech-text alignment for LLM-based speech translation.

``aista.load`` opens a trained run or an export, ``aista.Experiment`` trains one; docs/python.md shows both. Nothing is
imported before it is used.
"""

import importlib

__version__ = "0.2.0"

_PLACES = {
    "AistaError": "aista.errors",
    "Evaluation": "aista.run_folder.evaluations",
    "Experiment": "aista.api",
    "Model": "aista.api",
    "ProbeCurve": "aista.selection.curve",
    "Translation": "aista.engine.inference.translate",
    "UtteranceStates": "aista.engine.inference.layer_states",
    "Waveform": "aista.data.recorded",
    "load": "aista.api",
}
__all__ = ["__version__", *_PLACES]  # __init__.pyi says the same to type checkers


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module 'aista' has no attribute {name!r}")
    try:
        value = getattr(importlib.import_module(_PLACES[name]), name)
    except ModuleNotFoundError as error:
        from aista.extras import explain

        raise ImportError(f"aista.{name} {explain(error)}", name=error.name) from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
