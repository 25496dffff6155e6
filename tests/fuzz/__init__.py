"""Generated bad input: whatever is given, aista takes it or says in an ``AistaError`` what is wrong with it.

A module here holds the strategies of one kind of input and a test with ``fuzzed`` for each way in::

    @fuzzed(examples=200, text=manifests())
    def test_a_manifest_is_read_or_refused(text, folder):
        with contextlib.suppress(AistaError):
            read_manifest(write(folder, text))

Anything else that is raised fails the test; so does a hang (``PATIENCE`` seconds of processor time for one example, or
thirty times as long on the clock). In the suite a test draws ``examples`` inputs, the same in every run; keep that to
some seconds for a module. `make fuzz` draws AISTA_FUZZ_EXAMPLES new ones for each test, and remembers those that failed
under ``.hypothesis``. Hypothesis calls a test many times with one set of fixtures: write into ``folder``, which is
emptied before each example, rather than into ``tmp_path``. A fault that is found becomes a plain test beside the
module that it was mended in.
"""

from tests.fuzz.fuzzed import PATIENCE, HangError, fuzzed

__all__ = ["PATIENCE", "HangError", "fuzzed"]
