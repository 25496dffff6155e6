import pytest

from .configs import make_large_folders, make_llama


@pytest.fixture(scope="session")
def llama(tmp_path_factory):
    return make_llama(tmp_path_factory.mktemp("models") / "llama")


@pytest.fixture(scope="session")
def large(tmp_path_factory):
    return make_large_folders(tmp_path_factory.mktemp("large"))
