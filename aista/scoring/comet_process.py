"""COMET in a separate process and environment, because its pinned packages conflict with aista's."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from aista.errors import RunError
from aista.files import explain

__all__ = ["PYTHON_VARIABLE", "TRUST_VARIABLE", "CometProcess", "find_python"]

PYTHON_VARIABLE = "AISTA_COMET_PYTHON"
"""Environment variable with the interpreter's path. It is not an option, because a config must not run programs."""
TRUST_VARIABLE = "AISTA_COMET_TRUST"
"""Environment variable with the SHA-256 (comma-separated) of trusted checkpoints whose pickle may run code."""

WORKER = Path(__file__).with_name("comet_worker.py")
_MAKE = (
    "`python3 -m venv comet-env` and `comet-env/bin/pip install unbabel-comet 'setuptools<81'` make one; then set "
    f"{PYTHON_VARIABLE}=comet-env/bin/python"
)
_TAIL = 5  # lines of its standard error in a message
_LINE = 300  # characters of each


def find_python() -> Path:
    """The interpreter that has COMET: that of ``AISTA_COMET_PYTHON``, or this one.

    Raises:
        ValueError: it is not there or cannot be run, or none is named and this one has no COMET.
    """
    named = os.environ.get(PYTHON_VARIABLE, "")
    if not named:
        if importlib.util.find_spec("comet") is None:
            raise ValueError(
                f"COMET runs in a separate environment: {PYTHON_VARIABLE} is not set, and this one has no "
                f"unbabel-comet; {_MAKE}"
            )
        return Path(sys.executable)
    path = Path(named).expanduser().absolute()
    if not path.is_file() or not os.access(path, os.X_OK):
        raise ValueError(f"{PYTHON_VARIABLE}: {path} is not an interpreter that can be run; {_MAKE}")
    return path


@dataclass(frozen=True)
class CometProcess:
    """The interpreter that COMET runs in; texts and scores are exchanged as JSON lines."""

    python: Path

    def version(self) -> str:
        """Version of unbabel-comet in that interpreter; takes a fraction of a second.

        Raises:
            ValueError: the interpreter does not start, or has no unbabel-comet.
        """
        try:
            done = subprocess.run([*self._command, "--version"], capture_output=True, text=True, errors="replace")
        except OSError as error:
            raise ValueError(f"{PYTHON_VARIABLE}: {explain(error, self.python, 'run')}; {_MAKE}") from error
        try:
            answer = json.loads(done.stdout)
        except ValueError:
            answer = {}
        if not isinstance(answer, dict) or "version" not in answer:
            raise ValueError(
                f"{PYTHON_VARIABLE}: {self.python} has no unbabel-comet{_reason(answer, done.stderr)}; {_MAKE}"
            )
        return str(answer["version"])

    def scores(self, request: Mapping[str, Any], rows: Sequence[Mapping[str, str]]) -> list[float]:
        """Score segments; COMET's progress goes to standard error.

        Args:
            request: The request for ``comet_worker``.
            rows: ``src``, ``mt`` and ``ref`` of each segment.

        Raises:
            RunError: the process failed or was killed, or did not return a number for each segment.
        """
        with tempfile.TemporaryFile("w+", encoding="utf-8") as asked, tempfile.TemporaryFile("w+b") as answered:
            asked.writelines(json.dumps(line) + "\n" for line in (request, *rows))
            asked.seek(0)
            try:
                code, tail = self._run(asked, answered)
            except OSError as error:
                raise RunError(f"COMET: {explain(error, self.python, 'run')}") from error
            answered.seek(0)
            lines = answered.read().decode("utf-8", errors="replace").splitlines()
        if code:
            raise RunError(_failure(self.python, code, tail))
        return self._read(lines, len(rows), request)

    @property
    def _command(self) -> list[str]:
        # -I: neither our PYTHONPATH nor the script's own folder, in which there may be a module called comet
        return [str(self.python), "-I", str(WORKER)]

    def _run(self, asked: IO[str], answered: IO[bytes]) -> tuple[int, list[str]]:
        """Exit code and the last lines of standard error, which is passed on as it comes."""
        process = subprocess.Popen(self._command, stdin=asked, stdout=answered, stderr=subprocess.PIPE)
        assert process.stderr is not None
        tail: deque[str] = deque(maxlen=_TAIL)
        rest = ""
        try:
            while piece := os.read(process.stderr.fileno(), 1 << 16):
                text = piece.decode("utf-8", errors="replace")
                sys.stderr.write(text)
                sys.stderr.flush()
                *lines, rest = (rest + text).replace("\r", "\n").split("\n")
                tail.extend(line for line in lines if line.strip())
            return process.wait(), [*tail, rest] if rest.strip() else list(tail)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            process.stderr.close()

    def _read(self, lines: Sequence[str], size: int, request: Mapping[str, Any]) -> list[float]:
        try:
            records = [json.loads(line) for line in lines]
            problem = next((record for record in records if "problem" in record), None)
            found = [] if problem else [float(record["score"]) for record in records]
        except (ValueError, TypeError, KeyError) as error:
            raise RunError(
                f"COMET: {self.python} answered {lines[-1][:_LINE]!r} in place of scores; name an "
                "interpreter with unbabel-comet"
            ) from error
        if problem:
            raise RunError(_problem(self.python, problem, request))
        if len(found) != size:
            raise RunError(
                f"COMET: gave {len(found)} scores for {size} segments; its version there may not fit: {_MAKE}"
            )
        odd = [number for number, score in enumerate(found, start=1) if not abs(score) < float("inf")]
        if odd:
            raise RunError(
                f"COMET: {len(odd)} of {size} scores are not finite numbers (first: segment {odd[0]}); the checkpoint "
                f"{request['checkpoint']} may be damaged, fetch it again"
            )
        return found


def _failure(python: Path, code: int, tail: Sequence[str]) -> str:
    said = " / ".join(line.strip()[:_LINE] for line in tail) or "nothing"
    if code == -signal.SIGKILL:
        return (
            f"COMET: {python} was killed (signal 9), most likely because memory ran out; lower batch_size, end other "
            f"programs, or choose a smaller model. Its last lines: {said}"
        )
    how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return f"COMET: {python} {how}; its last lines: {said}"


def _problem(python: Path, problem: Mapping[str, Any], request: Mapping[str, Any]) -> str:
    reason = str(problem.get("reason", ""))[:_LINE]
    checkpoint = request["checkpoint"]
    messages = {
        "import": f"COMET: cannot be imported by {python} ({reason}); {_MAKE}",
        "unsafe": f"COMET: {checkpoint} holds more than weights, and reading it would run code ({reason}); if you "
        f"trust who made it, set {TRUST_VARIABLE}={request['sha256']}",
        "references": f"COMET: {checkpoint} ({reason}) judges by references; leave references: true",
        "device": f"COMET: device: cuda, but {reason} there ({python}); choose cpu or auto",
    }
    return messages.get(str(problem["problem"]), f"COMET: {python}: {reason}")


def _reason(answer: Any, stderr: str) -> str:
    lines = [line for line in stderr.splitlines() if line.strip()]
    reason = answer.get("reason", "") if isinstance(answer, dict) else ""
    found = str(reason) or (lines[-1] if lines else "")
    return f" ({found[:_LINE]})" if found else ""
