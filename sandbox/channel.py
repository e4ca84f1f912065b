"""Messages between a parent and a sandboxed child: JSON and raw tensors over a socket pair.

A frame is `magic (8) | header bytes (8) | payload bytes (8) | header | payload`, integers little-endian. The header
is a JSON object `{"body": ..., "tensors": [{"dtype": ..., "shape": [...], "layout": ...}, ...]}`; the payload is the
tensors' bytes one after the other. The receiver trusts nothing: a wrong magic, a size beyond its limits, a header that
is no such object, or tensors that do not fill the payload raise `ChannelError`, after which the channel is dead.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, ValidationError

from sandbox.layouts import Layout
from sandbox.values import Tensor
from tasks.values import DType, Value

if TYPE_CHECKING:
    import socket

_MAGIC = b"KWFRAME1"
_PREFIX = struct.Struct("<8sQQ")
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class FrameLimits:
    """What a receiver accepts in one frame."""

    header_bytes: int = 16 << 20
    payload_bytes: int = 4 << 30


@dataclass(frozen=True, slots=True)
class Message:
    """One message: a JSON text whose meaning the two ends share, and tensors."""

    body: str
    tensors: tuple[Tensor, ...] = ()


GREETING = Message("ready")
"""What a child sends first, once our own code is loaded and before anything untrusted is."""


class ChannelError(Exception):
    """The other end sent something that is no message, or went away in the middle of one."""


class _TensorHeader(Value):
    dtype: DType
    shape: Annotated[tuple[Annotated[int, Field(ge=0, lt=1 << 48)], ...], Field(max_length=64)]
    layout: Layout = Layout.DENSE


class _Header(Value):
    body: str
    tensors: Annotated[tuple[_TensorHeader, ...], Field(max_length=4096)]


def encode(message: Message) -> Iterator[bytes | bytearray | memoryview]:
    """Give the pieces of a frame in order; tensors are not copied."""
    tensors = [
        {"dtype": tensor.dtype.value, "shape": tensor.shape, "layout": tensor.layout.value}
        for tensor in message.tensors
    ]
    header = json.dumps({"body": message.body, "tensors": tensors}).encode()
    yield _PREFIX.pack(_MAGIC, len(header), sum(len(tensor.data) for tensor in message.tensors))
    yield header
    for tensor in message.tensors:
        yield tensor.data


class FrameReader:
    """Puts one frame at a time together from whatever arrives."""

    def __init__(self, limits: FrameLimits | None = None) -> None:
        self._limits = limits or FrameLimits()
        self._start()

    def _start(self) -> None:
        self._buffer = bytearray(_PREFIX.size)
        self._filled = 0
        self._header: bytes | None = None
        self._lengths: tuple[int, int] | None = None

    @property
    def started(self) -> bool:
        """Whether part of a frame has arrived."""
        return self._filled > 0 or self._lengths is not None

    def space(self) -> memoryview:
        """Return where the next bytes of this frame go; never empty."""
        return memoryview(self._buffer)[self._filled : self._filled + _CHUNK]

    def advance(self, count: int) -> Message | None:
        """Take note that `count` bytes were put into `space()`; returns the message once it is whole.

        Raises
        ------
        ChannelError
            What arrived is no frame within the limits.
        """
        self._filled += count
        while self._filled == len(self._buffer):
            message = self._next_part()
            if message is not None:
                self._start()
                return message
        return None

    def _next_part(self) -> Message | None:
        part, self._filled = self._buffer, 0
        if self._lengths is None:
            self._lengths = self._checked_lengths(part)
            self._buffer = bytearray(self._lengths[0])
            return None
        if self._header is None:
            self._header = bytes(part)
            self._buffer = bytearray(self._lengths[1])
            return None
        return _decode(self._header, part)

    def _checked_lengths(self, prefix: bytearray) -> tuple[int, int]:
        magic, header, payload = _PREFIX.unpack(prefix)
        if magic != _MAGIC:
            raise ChannelError("the frame does not begin as one")
        if not 0 < header <= self._limits.header_bytes or payload > self._limits.payload_bytes:
            raise ChannelError(f"a frame of {header} + {payload} bytes is beyond the limits")
        return header, payload


def _decode(header: bytes, payload: bytearray) -> Message:
    try:
        parsed = _Header.model_validate_json(header)
    except ValidationError as error:
        raise ChannelError("the frame's header is not a message header") from error
    tensors = []
    place = 0
    view = memoryview(payload)
    for item in parsed.tensors:
        size = prod(item.shape) * item.dtype.itemsize
        if place + size > len(payload):
            raise ChannelError("the tensors are larger than the payload")
        data = view[place : place + size]
        tensors.append(Tensor(dtype=item.dtype, shape=item.shape, data=data, layout=item.layout))
        place += size
    if place != len(payload):
        raise ChannelError("the payload is larger than the tensors")
    return Message(body=parsed.body, tensors=tuple(tensors))


def send(end: socket.socket, message: Message) -> None:
    """Send a whole message over a blocking socket."""
    for piece in encode(message):
        end.sendall(piece)


def receive(end: socket.socket, limits: FrameLimits | None = None) -> Message | None:
    """Receive a whole message over a blocking socket; None when the other end closed between messages.

    Raises
    ------
    ChannelError
        What arrived is no frame, or it broke off.
    """
    reader = FrameReader(limits)
    while True:
        count = end.recv_into(reader.space())
        if count == 0:
            if reader.started:
                raise ChannelError("the channel broke off within a frame")
            return None
        message = reader.advance(count)
        if message is not None:
            return message
