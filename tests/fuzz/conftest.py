import pytest


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder for the files of one example; ``fuzzed`` empties it before each."""
    return tmp_path_factory.mktemp("fuzz")
