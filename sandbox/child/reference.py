"""A reference's child process: executes the task's untrusted source with PyTorch, and answers requests about it.

Run as `python -m sandbox.child.reference [GPU] DESCRIPTOR`; with a GPU's number the reference is timed on it.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections import OrderedDict
from collections.abc import Sequence

import torch

from sandbox.channel import GREETING, Message, receive, send
from sandbox.protocol import ReferenceReply, ReferenceRequest, RunRequest, TimeRequest
from sandbox.values import Tensor
from tasks.errors import UserError
from tasks.reference import Reference, probe, split
from tasks.reference.source import blame_reference
from tasks.values import DType, OutputShape

_KEPT_REFERENCES = 16
"""One per set of sizes; a task has about ten."""


def to_torch(tensor: Tensor) -> torch.Tensor:
    """Make a torch tensor with its own memory."""
    dtype: torch.dtype = getattr(torch, tensor.dtype.value)
    if not tensor.data:
        return torch.empty(tensor.shape, dtype=dtype)
    # The channel gave this buffer to this message alone.
    return torch.frombuffer(tensor.data, dtype=dtype).reshape(tensor.shape)


def from_torch(tensor: torch.Tensor) -> Tensor:
    """Copy a torch tensor out, dense."""
    dense = tensor.detach().cpu().contiguous()
    flat = dense.reshape(-1).view(torch.uint8) if dense.numel() else torch.empty(0, dtype=torch.uint8)
    dtype = DType(str(tensor.dtype).removeprefix("torch."))
    return Tensor(dtype=dtype, shape=tuple(tensor.shape), data=flat.numpy().tobytes())


class ReferenceServer:
    """Answers requests, keeping the last few references that it executed."""

    def __init__(self) -> None:
        self._references: OrderedDict[str, Reference] = OrderedDict()

    def answer(self, message: Message) -> Message:
        """Carry out one request; the reference's own failure is part of the answer."""
        request = ReferenceRequest.model_validate_json(message.body)
        start = time.perf_counter()
        try:
            reply, tensors = self._carry_out(request, message.tensors)
        except UserError as error:
            reply, tensors = ReferenceReply(nonce=request.nonce, error=str(error)), ()
        seconds = time.perf_counter() - start
        return Message(body=reply.model_copy(update={"seconds": seconds}).model_dump_json(), tensors=tensors)

    def _carry_out(
        self, request: ReferenceRequest, tensors: Sequence[Tensor]
    ) -> tuple[ReferenceReply, tuple[Tensor, ...]]:
        described = self._described(request)
        if described is not None:
            return described, ()
        if request.time is not None:
            samples = self._eager_samples(request, request.time, tensors)
            return ReferenceReply(nonce=request.nonce, samples_us=samples), ()
        if request.run is None:
            raise ValueError("a request asks for nothing")
        if request.backward and not request.run.is_random:
            return self._backward(request, request.run, tensors)
        reference = self._reference(request, request.run.axes)
        given = dict(zip(request.run.names, map(to_torch, tensors), strict=True))
        if request.run.is_random:
            return ReferenceReply(nonce=request.nonce, is_random=reference.is_random(given)), ()
        outputs = tuple(map(from_torch, reference.forward(given, request.run.precision)))
        return ReferenceReply(nonce=request.nonce, outputs=len(outputs)), outputs

    def _described(self, request: ReferenceRequest) -> ReferenceReply | None:
        """Answer a request that takes and gives no tensors; None for one that does."""
        if request.probe:
            return ReferenceReply(nonce=request.nonce, probed=probe(request.source, request.stated))
        if request.split:
            return ReferenceReply(nonce=request.nonce, split=split(request.source))
        if request.eager_ops is not None:
            gradients = request.gradients if request.backward else ()
            reference = self._reference(request, request.eager_ops.axes)
            ops = reference.eager_ops_at(request.eager_ops.inputs, gradients)
            return ReferenceReply(nonce=request.nonce, ops=ops)
        if request.outline is not None:
            outline = self._reference(request, request.outline.axes).outline(request.outline.inputs)
            return ReferenceReply(nonce=request.nonce, outline=outline)
        if request.construction is not None:
            construction = self._reference(request, request.construction.axes).construction()
            return ReferenceReply(nonce=request.nonce, construction=construction)
        return None

    def _backward(
        self, request: ReferenceRequest, run: RunRequest, tensors: Sequence[Tensor]
    ) -> tuple[ReferenceReply, tuple[Tensor, ...]]:
        reference = self._reference(request, run.axes)
        count = len(run.names)
        given = dict(zip(run.names, map(to_torch, tensors[:count]), strict=True))
        shapes = tuple(
            OutputShape(dtype=dtype, shape=shape)
            for dtype, shape in reference.output_shapes(given)
            if dtype.is_floating
        )
        if len(tensors) == count:
            return ReferenceReply(nonce=request.nonce, output_shapes=shapes), ()
        output_gradients = [to_torch(tensor) for tensor in tensors[count:]]
        result = reference.backward(given, output_gradients, request.saved, request.gradients, run.precision)
        gradients = tuple(map(from_torch, result.gradients))
        saved = tuple(map(from_torch, result.saved))
        reply = ReferenceReply(nonce=request.nonce, outputs=len(gradients), output_shapes=shapes)
        return reply, (*gradients, *saved)

    def _eager_samples(
        self, request: ReferenceRequest, asked: TimeRequest, tensors: Sequence[Tensor]
    ) -> tuple[float, ...]:
        from sandbox.child.gpu_clock import GpuClock  # noqa: PLC0415 -- for children on a GPU

        # What a reference makes without saying where, its model among it, belongs on the card.
        with torch.device("cuda"), blame_reference("on the GPU"):
            values = [to_torch(tensor).cuda() for tensor in tensors]
            given = dict(zip(asked.names, values, strict=False))
            output_gradients = values[len(asked.names) :]
            call = _made(request, asked.axes).eager_call(given, output_gradients, request.gradients)
            return GpuClock().samples(call, asked.repeats)

    def _reference(self, request: ReferenceRequest, axes: dict[str, int]) -> Reference:
        key = repr((request.source, request.form, request.entry, sorted(axes.items())))
        if key not in self._references:
            self._references[key] = _made(request, axes)
            if len(self._references) > _KEPT_REFERENCES:
                self._references.popitem(last=False)
        self._references.move_to_end(key)
        return self._references[key]


def _made(request: ReferenceRequest, axes: dict[str, int]) -> Reference:
    if request.form is None:
        raise ValueError("a request about a reference names its form")
    return Reference(request.source, request.form, request.entry, axes)


def main() -> None:
    """Serve on the channel that the last argument names."""
    # Sums then do not depend on how many cores the machine has, and verdicts run side by side on every core.
    torch.set_num_threads(1)
    server = ReferenceServer()
    *gpus, descriptor = sys.argv[1:]
    for gpu in gpus:
        # A card that fails here fails before the greeting, when nothing of the reference's can be at fault.
        torch.cuda.set_device(int(gpu))
        torch.cuda.synchronize()
    with socket.socket(fileno=int(descriptor)) as end:
        send(end, GREETING)
        while (message := receive(end)) is not None:
            send(end, server.answer(message))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
