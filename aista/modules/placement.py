"""fairseq2's process groups for modules that no tensor-parallel rank shares; imports fairseq2."""

from __future__ import annotations

from typing import TypedDict

import torch
from fairseq2.gang import Gangs, create_fake_gangs

__all__ = ["Placement", "placement"]


class Placement(TypedDict):
    """Arguments that fairseq2's projections take."""

    gangs: Gangs
    device: torch.device


def placement() -> Placement:
    """One process on torch's current default device.

    fairseq2's projections shard themselves by gangs. Given neither gangs nor device, they initialise
    the whole library, which takes seconds, to learn that there is nothing to shard.
    """
    device = torch.get_default_device()
    gangs = create_fake_gangs(torch.device("cpu") if device.type == "meta" else device)
    return Placement(gangs=gangs, device=device)
