"""The user-defined pieces of a SentencePiece model, which its Python API neither lists nor can switch off.

Reads three fields of the model's protobuf directly, so that protobuf is not a dependency:
ModelProto.pieces (1) -> SentencePiece {piece (1): string, type (3): enum}.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

__all__ = ["unused", "user_defined_symbols"]

_USER_DEFINED, _UNUSED = 4, 5


def user_defined_symbols(model: bytes) -> dict[str, int]:
    """User-defined symbols of a serialised model and their ids.

    Args:
        model: The result of ``SentencePieceProcessor.serialized_model_proto()``.
    """
    return {piece: index for index, piece, _ in _user_defined(model)}


def unused(model: bytes, ids: Collection[int]) -> bytes:
    """The same model, with the same ids, with some user-defined symbols unused, so that no text is encoded as one."""
    changed = bytearray(model)
    for id, _, place in _user_defined(model):
        if id in ids:
            changed[place] = _UNUSED
    return bytes(changed)


def _user_defined(model: bytes) -> Iterator[tuple[int, str, int]]:
    """Index, text, and the place of the type's byte of each user-defined piece."""
    pieces = (field for field in _fields(model, 0, len(model)) if field[0] == 1)
    for index, (_, start, end) in enumerate(pieces):
        fields = {number: (begin, finish) for number, begin, finish in _fields(model, start, end)}
        begin, finish = fields.get(3, (0, 0))
        if model[begin:finish] == bytes([_USER_DEFINED]) and 1 in fields:
            yield index, model[slice(*fields[1])].decode("utf-8"), begin


def _fields(message: bytes, position: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Number, first byte and the one behind the last of each field's value."""
    while position < end:
        key, position = _varint(message, position)
        number, wire_type = key >> 3, key & 7
        if wire_type == 0:
            size = _varint(message, position)[1] - position
        elif wire_type == 2:
            size, position = _varint(message, position)
        else:
            size = {1: 8, 5: 4}[wire_type]
        yield number, position, position + size
        position += size


def _varint(message: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position
