"""Writes CTranslate2's ``model.bin`` for the tests, as its specification describes it."""

import struct

import torch

TYPES = [torch.float32, torch.int8, torch.int16, torch.int32, torch.float16, torch.bfloat16]


def string(text):
    raw = text.encode() + b"\0"
    return struct.pack("<H", len(raw)) + raw


def array(name, tensor, *, kind=None, size=None):
    data = tensor.contiguous().view(torch.uint8).numpy().tobytes() if tensor.ndim else scalar_bytes(tensor)
    head = struct.pack(f"<B{tensor.ndim}I", tensor.ndim, *tensor.shape)
    kind = TYPES.index(tensor.dtype) if kind is None else kind
    return string(name) + head + struct.pack("<BI", kind, len(data) if size is None else size) + data


def scalar_bytes(tensor):
    return tensor[None].view(torch.uint8).numpy().tobytes()


def model_bytes(tensors, aliases=None, *, version=6, spec="WhisperSpec", revision=3):
    aliases = aliases or {}
    parts = [struct.pack("<I", version), string(spec), struct.pack("<II", revision, len(tensors))]
    parts += [array(name, tensor) for name, tensor in tensors.items()]
    parts += [struct.pack("<I", len(aliases)), *(string(a) + string(b) for a, b in aliases.items())]
    return b"".join(parts)
