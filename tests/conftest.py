"""One thread and one seed for every test, so that results repeat on any machine."""

import gc
import os
import random

import numpy as np
import pytest
import torch
from hypothesis import settings

from aista import plugins, registry
from aista.kinds import KINDS, Kind
from tests.hub import Hub, connect

settings.register_profile("aista", deadline=None)
settings.load_profile("aista")
torch.set_num_threads(1)
os.environ["HF_HUB_OFFLINE"] = "1"  # no test asks another hub than its own
os.environ["OMP_NUM_THREADS"] = "1"  # without it fairseq2 sets a number of its own in every training


def pytest_collection_finish():
    """Spare the many trainings, each of which collects garbage, a look at all that was imported for the collection."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _seeded():
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture
def clean_registry():
    """A registry without the plug-in files of other tests, that forgets afterwards what the test registered.

    What aista's own modules registered meanwhile stays: they are imported once and would not do so again.
    """
    stores = (KINDS, registry._entries, plugins._done)
    before = [store.copy() for store in stores]
    for key in [key for key, entry in registry._entries.items() if entry.origin.startswith("aista_plugin_")]:
        del registry._entries[key]
    for key in [key for key, module in plugins._done.items() if module]:
        del plugins._done[key]
    yield registry
    own = {key: entry for key, entry in registry._entries.items() if entry.origin.startswith("aista.")}
    for store, old in zip(stores, before, strict=True):
        store.clear()
        store.update(old)
    registry._entries.update(own)


@pytest.fixture
def define_kind(clean_registry):
    """Adds a kind without built-in components for the time of a test."""

    def define(name, package="aista.types", dependencies=()):
        KINDS[name] = Kind(name, f"A {name} of the tests.", package, dependencies)

    return define


@pytest.fixture
def hub(tmp_path_factory, monkeypatch):
    """An empty hub, the only one that ``huggingface_hub`` knows in the test, with an empty cache and no token."""
    from huggingface_hub.utils import reset_sessions

    with Hub().serving() as hub:
        connect(hub.url, tmp_path_factory.mktemp("hf_home"), monkeypatch)
        yield hub
    reset_sessions()
