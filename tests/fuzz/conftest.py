import pytest

from tests.fuzz.fuzzed import import_all


@pytest.fixture(scope="session")
def all_imported():
    """For tests whose examples import parts of aista: so that none waits for that."""
    import_all()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder for the files of one example; ``fuzzed`` empties it before each."""
    return tmp_path_factory.mktemp("fuzz")
