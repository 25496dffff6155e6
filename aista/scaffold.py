"""New files from templates: a plug-in of any kind (``aista new``) and a project (``aista init``)."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from pathlib import Path
from string import Template

from aista import registry
from aista.errors import ConfigError, DataError, Fault
from aista.files import write_text
from aista.kinds import KINDS
from aista.registry import nearest

__all__ = ["ProjectOptions", "new_component", "new_project", "template_kinds"]

TEMPLATES = Path(__file__).parent / "templates"
_SUFFIX = ".template"
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]+)*")
_CONDITIONAL = re.compile(r"^@(?P<condition>\w+) (?P<kept>.*\n)", re.MULTILINE)
_TAGGED = (("st",), ("asr",))  # `aista data tokenizer` adds pieces for their languages by default
GOALS = {
    "st": "speech translation",
    "asr": "speech recognition",
    "mt": "text translation",
    "cot": "translation after a transcript",
}
_PROJECT = {
    "README.md": "README.md",
    "Makefile": "Makefile",
    "experiment.yaml": "experiment.yaml",
    "ablation.yaml": "ablation.yaml",
    ".gitignore": "gitignore",
    "tests/test_plugins.py": "test_plugins.py",
}


def template_kinds() -> tuple[str, ...]:
    """The kinds that have a template, in the order of the registry."""
    return tuple(kind for kind in KINDS if _component(kind).is_file())


def new_component(kind: str, name: str, path: Path) -> Path:
    """Write a complete plug-in that registers ``name``: a small component of the kind, to be changed.

    It passes the contracts of its kind as it is.

    Args:
        kind: A kind.
        name: Name in configs, ``snake_case``; the class is named after it.
        path: The file to write. Nothing is overwritten.

    Raises:
        ConfigError: the kind has no template, or the name is malformed or taken by a built-in component.
        DataError: the file already exists.
    """
    if kind not in template_kinds():
        known = ", ".join(template_kinds())
        problem = f"is not a kind with a template{nearest(kind, KINDS)}"
        raise ConfigError([Fault(kind, problem, f"choose one of {known}")])
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        rule = "must be a Python name in lower case, as my_encoder"
        raise ConfigError([Fault("NAME", f"{rule}, got {name!r}", "choose another")])
    if name in registry.names(kind):
        raise ConfigError([Fault("NAME", f"{name!r} is a built-in {kind}", f"choose another, as my_{name}")])
    source = _component(kind).read_text(encoding="utf-8")  # a plug-in called my_KIND
    for old, new in ((f"My{_class_name(kind)}", _class_name(name)), (f"my_{kind}", name)):
        source = source.replace(old, new)
    _write_new(path, source)
    return path


@dataclass(frozen=True)
class ProjectOptions:
    """Values that the templates of a new project are filled with.

    Attributes:
        source: Language of the speech, e.g. ``en``.
        target: Language of the translations.
        corpus: Path of the corpus to import; "" leaves it to ``make SOURCE=...``.
        tasks: Tasks of the model, among ``st``, ``asr``, ``mt`` and ``cot``; the first is validated and scored.
        steps: Steps of joint training for each task; each pretraining stage has half as many again.
    """

    source: str = "en"
    target: str = "fr"
    corpus: str = ""
    tasks: tuple[str, ...] = ("st",)
    steps: int = 1000

    @property
    def conditions(self) -> frozenset[str]:
        """Conditions whose lines in the templates are kept."""
        found = set(self.tasks)
        if found - {"asr"}:
            found.add("translates")
        if self.tasks != ("st",):
            found.add("tasks")
        if len(self.tasks) > 1:
            found.add("several")
        return frozenset(found)

    def values(self) -> dict[str, str]:
        """The values of the templates' fields."""
        prompts = {task: f"{{speech}}<{self._tag(task)}>" for task in self.tasks}
        first = self.tasks[0]
        languages, parts, pair = f"--source-language {self.source}", {"encoder": "ctc"}, f"({self.source})"
        if "translates" in self.conditions:
            languages, parts = f"{languages} --target-language {self.target}", {"llm": "lm", **parts}
            pair = f"from {self.source} to {self.target}"
        symbols = [f"<{self._tag(task)}>" for task in self.tasks] + (["||"] if "cot" in self.tasks else [])
        others = [(run, task) for task in self.tasks[1:] for run in ("baseline", "aista")]
        metrics = ("wer", "cer") if first == "asr" else ("bleu", "chrf")
        return {
            "source": self.source,
            "target": self.target,
            "corpus": self.corpus,
            "goal": f"{', '.join(GOALS[task] for task in self.tasks).capitalize()} {pair}",
            "languages": languages,
            "stages": " ".join(f"initialize.{part}=runs/aista/pretraining/{stage}" for part, stage in parts.items()),
            "prompt": prompts.pop(first),
            "prompts": ", ".join(f'{task}: "{prompt}"' for task, prompt in prompts.items()),
            "tasks": ", ".join(self.tasks),
            "steps": str(self.steps * len(self.tasks)),  # each task is read as often as alone
            "every": str(_tens(self.steps // 5)),
            "warmup": str(self.steps // 20),
            "stage_steps": str(3 * self.steps // 2),
            "stage_every": str(_tens(self.steps // 2)),
            "metrics": ", ".join(metrics),
            "score": metrics[0],
            "symbols": "".join(f" --symbol '{symbol}'" for symbol in symbols) if self.tasks not in _TAGGED else "",
            "others": "".join(f"\t$(AISTA) evaluate runs/{run} --task {task}\n" for run, task in others),
        }

    def _tag(self, task: str) -> str:
        return {"st": self.target, "asr": self.source, "mt": "text"}.get(task, task)


def new_project(folder: Path, options: ProjectOptions, config: Path | None = None) -> list[Path]:
    """Write a small project: config, ablation, Makefile, README, a plug-in with its test.

    Args:
        folder: Folder to make; it may exist if it is empty.
        options: Values for the templates.
        config: A config to copy as ``experiment.yaml``; None takes the template's, a small model trained from scratch.

    Returns:
        The files, relative to ``folder``.

    Raises:
        ConfigError: a language is not a language code.
        DataError: the folder is not empty.
    """
    for name, code in (("--source-language", options.source), ("--target-language", options.target)):
        if not _LANGUAGE.fullmatch(code):
            raise ConfigError([Fault(name, f"must be a language code, got {code!r}", "write it as en, fr or zh-CN")])
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder}: already exists and is not empty; choose another folder")
    values = {"title": folder.resolve().name, **options.values()}
    texts = {name: _project(template, options.conditions).substitute(values) for name, template in _PROJECT.items()}
    if config is not None:
        texts["experiment.yaml"] = config.read_text(encoding="utf-8")
    head, end, rest = texts["experiment.yaml"].partition("\n")
    texts["experiment.yaml"] = f"{head}{end}# yaml-language-server: $schema=aista.schema.json\n{rest}"
    for name, text in texts.items():
        _write_new(folder / name, text)
    new_component("cost", "my_cost", folder / "plugins/my_cost.py")
    return [Path(name) for name in (*texts, "plugins/my_cost.py")]


def _tens(steps: int) -> int:
    """A multiple of ``trainer.log_every``."""
    return max(10, steps // 10 * 10)


def _project(name: str, conditions: frozenset[str]) -> Template:
    """A template without the lines ``@CONDITION ...`` whose condition does not hold."""
    text = (TEMPLATES / "project" / f"{name}{_SUFFIX}").read_text(encoding="utf-8")
    return Template(_CONDITIONAL.sub(lambda line: line["kept"] if line["condition"] in conditions else "", text))


def _component(kind: str) -> Path:
    return TEMPLATES / "components" / f"{kind}.py{_SUFFIX}"


def _class_name(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _write_new(path: Path, text: str) -> None:
    if path.exists():
        raise DataError(f"{path}: already exists; choose another name, or delete it first")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
