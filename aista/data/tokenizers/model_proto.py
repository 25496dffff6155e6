"""Which pieces of a SentencePiece model are user-defined: its Python API does not say.

Reads three fields of the model's protobuf directly, so that protobuf is no dependency:
ModelProto.pieces (1) -> SentencePiece {piece (1): string, type (3): enum}.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["user_defined_symbols"]

_USER_DEFINED = 4


def user_defined_symbols(model: bytes) -> dict[str, int]:
    """User-defined symbols of a serialised model and their ids.

    Args:
        model: What ``SentencePieceProcessor.serialized_model_proto()`` returns.
    """
    symbols: dict[str, int] = {}
    pieces = (value for number, value in _fields(model) if number == 1 and isinstance(value, bytes))
    for index, piece in enumerate(pieces):
        fields = dict(_fields(piece))
        text = fields.get(1)
        if fields.get(3) == _USER_DEFINED and isinstance(text, bytes):
            symbols[text.decode("utf-8")] = index
    return symbols


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        number, wire_type = key >> 3, key & 7
        if wire_type == 0:
            value, position = _varint(message, position)
            yield number, value
            continue
        if wire_type == 2:
            size, position = _varint(message, position)
        else:
            size = {1: 8, 5: 4}[wire_type]
        yield number, message[position : position + size]
        position += size


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position
