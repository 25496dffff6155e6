"""Run by two processes: shards a model as training does and takes a step; ``found.json``: what the first one holds."""

import json

import torch
import torch.distributed
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from aista.engine.training.blocks import apply_fsdp

from .configs import prepare, tiny


def local_bytes(tensor):
    local = tensor.to_local() if isinstance(tensor, DTensor) else tensor
    return local.numel() * local.element_size()


def measure(rank, folder, corpus, llama, *overrides):
    torch.distributed.init_process_group("gloo")
    own = folder / str(rank)
    own.mkdir()
    task, model, split = prepare(tiny(own, corpus, llama, *overrides, kind="hugging face"))
    mesh = torch.distributed.init_device_mesh("cpu", (2,))

    def wrap(module, reshard_after_forward=None):
        return fully_shard(module, mesh=mesh, reshard_after_forward=reshard_after_forward is None)

    fully_shard(apply_fsdp(model, "layer", wrap), mesh=mesh, reshard_after_forward=False)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    task.loss(model, split.dataset.batch(range(rank, 8, 2), 0)).total.backward()
    gradients = sum(local_bytes(p.grad) for p in model.parameters() if p.requires_grad)
    optimizer.step()
    averages = [value for state in optimizer.state.values() for key, value in state.items() if key != "step"]
    found = {
        "weights": sum(map(local_bytes, model.parameters())) + sum(map(local_bytes, model.buffers())),
        "gradients": gradients,
        "optimizer": sum(map(local_bytes, averages)),
    }
    if rank == 0:
        (folder / "found.json").write_text(json.dumps(found))
    torch.distributed.destroy_process_group()
