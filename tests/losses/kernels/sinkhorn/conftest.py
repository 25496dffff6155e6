import pytest
import torch


@pytest.fixture
def poisoned_memory(monkeypatch):
    """Memory that nobody wrote holds NaN."""
    monkeypatch.setattr(torch, "empty_like", lambda z, **options: torch.full_like(z, float("nan"), **options))
