from pathlib import Path

import pytest

from aista.data.sources.base import Part, Source
from aista.errors import DataError
from aista.testing import source as contract


class Correct(Source):
    """Folders that hold a file ``corpus.txt``."""

    @classmethod
    def recognises(cls, place):
        return Path(place, "corpus.txt").is_file()

    def parts(self, place, languages):
        if not self.recognises(place):
            raise DataError(f"--from {place}: holds no corpus.txt")
        return [Part("corpus.txt", ("audio",), lambda: iter(()))]


class SeesAll(Correct):
    @classmethod
    def recognises(cls, place):
        return Path(place).exists()


class Opens(Correct):
    @classmethod
    def recognises(cls, place):
        return bool(Path(place, "corpus.txt").read_text())


class FindsNothing(Correct):
    def parts(self, place, languages):
        return []


CASES = [
    (contract.check_recognises, SeesAll, r"recognises\('empty'\) must return False, got True"),
    (contract.check_recognises, Opens, r"recognises\('missing'\) must return False, raised FileNotFoundError"),
    (contract.check_refuses, FindsNothing, r"parts\(\) of a missing place must raise DataError"),
]


@pytest.mark.parametrize(("check", "broken", "message"), CASES)
def test_a_broken_source_fails(check, broken, message):
    with pytest.raises(AssertionError, match=message):
        check(broken())


@pytest.mark.parametrize("check", dict.fromkeys(check for check, _, _ in CASES))
def test_a_correct_source_passes(check):
    check(Correct())
