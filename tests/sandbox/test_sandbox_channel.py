from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.channel import ChannelError, FrameLimits, FrameReader, Message, encode, receive, send
from sandbox.values import Tensor
from tasks.values import DType


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    dtype = draw(st.sampled_from(DType))
    shape = tuple(draw(st.lists(st.integers(0, 4), max_size=3)))
    size = dtype.itemsize
    for axis in shape:
        size *= axis
    return Tensor(dtype=dtype, shape=shape, data=draw(st.binary(min_size=size, max_size=size)))


messages = st.builds(Message, body=st.text(), tensors=st.lists(tensors(), max_size=4).map(tuple))


def frame(message: Message) -> bytes:
    return b"".join(bytes(piece) for piece in encode(message))


def feed(reader: FrameReader, data: bytes, chunk: int = 1 << 20) -> list[Message]:
    found = []
    while data:
        space = reader.space()
        count = min(len(space), len(data), chunk)
        space[:count] = data[:count]
        data = data[count:]
        message = reader.advance(count)
        if message is not None:
            found.append(message)
    return found


def same(a: Message, b: Message) -> bool:
    return a.body == b.body and [(t.dtype, t.shape, bytes(t.data)) for t in a.tensors] == [
        (t.dtype, t.shape, bytes(t.data)) for t in b.tensors
    ]


@given(st.lists(messages, min_size=1, max_size=3), st.integers(1, 50))
def test_messages_survive_however_they_are_cut_up(sent, chunk):
    found = feed(FrameReader(), b"".join(map(frame, sent)), chunk)
    assert len(found) == len(sent)
    assert all(same(a, b) for a, b in zip(found, sent, strict=True))


@given(messages, st.data())
def test_a_damaged_frame_never_does_more_than_raise(message, data):
    damaged = bytearray(frame(message))
    place = data.draw(st.integers(0, len(damaged) - 1))
    damaged[place] ^= data.draw(st.integers(1, 255))
    reader = FrameReader(FrameLimits(header_bytes=1 << 16, payload_bytes=1 << 16))
    with contextlib.suppress(ChannelError):
        feed(reader, bytes(damaged))


@given(st.binary(min_size=24, max_size=200))
def test_noise_is_no_message(noise):
    with pytest.raises(ChannelError):
        feed(FrameReader(), noise)


def header_frame(header: bytes, payload: bytes = b"", *, claimed: int | None = None) -> bytes:
    return (
        struct.pack("<8sQQ", b"KWFRAME1", len(header), len(payload) if claimed is None else claimed) + header + payload
    )


@pytest.mark.parametrize(
    "header",
    [
        b"[]",
        b"not json",
        b'{"body": 1, "tensors": []}',
        b'{"body": "x", "tensors": [], "extra": 1}',
        b'{"body": "x", "tensors": [{"dtype": "complex64", "shape": []}]}',
        b'{"body": "x", "tensors": [{"dtype": "int8", "shape": [-1]}]}',
        b'{"body": "x", "tensors": [{"dtype": "int8", "shape": [5]}]}',
        b'{"body": "x", "tensors": [{"dtype": "int8", "shape": [3]}]}',
        json.dumps({"body": "x", "tensors": [{"dtype": "int8", "shape": [1 << 47, 1 << 47]}]}).encode(),
    ],
)
def test_a_header_that_does_not_describe_its_payload_is_refused(header):
    with pytest.raises(ChannelError):
        feed(FrameReader(), header_frame(header, b"1234"))


@pytest.mark.parametrize(("header_size", "payload_size"), [(1 << 40, 0), (2, 1 << 40), (0, 0)])
def test_sizes_beyond_the_limits_are_refused_before_anything_is_allocated(header_size, payload_size):
    with pytest.raises(ChannelError):
        feed(FrameReader(), struct.pack("<8sQQ", b"KWFRAME1", header_size, payload_size))


def test_blocking_ends_exchange_large_tensors():
    ours, theirs = socket.socketpair()
    data = bytes(range(256)) * 40_000
    message = Message("big", (Tensor(dtype=DType.UINT8, shape=(len(data),), data=data),))
    with ours, theirs:
        echo = threading.Thread(target=lambda: send(theirs, receive(theirs) or Message("")))
        echo.start()
        send(ours, message)
        answer = receive(ours)
        echo.join()
        assert answer is not None
        assert same(answer, message)
        theirs.close()
        assert receive(ours) is None


def test_a_channel_that_breaks_off_within_a_frame_raises():
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            theirs.sendall(frame(Message("hello"))[:-1])
        with pytest.raises(ChannelError, match="broke off"):
            receive(ours)


settings.register_profile("sandbox", deadline=None)
settings.load_profile("sandbox")
