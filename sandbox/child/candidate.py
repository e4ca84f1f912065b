"""A candidate's child process: loads one build, then answers requests until the channel closes.

Run as `python -m sandbox.child.candidate CONFIG DESCRIPTOR`.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from sandbox.channel import GREETING, Message, receive, send
from sandbox.child.link import ParentLink
from sandbox.child.program import LoadError, Program
from sandbox.protocol import CandidateConfig, CandidateReply, CandidateRequest
from sandbox.values import DeviceKind, Execution, ExitState, Language


def _loader(config: CandidateConfig, link: ParentLink) -> Callable[[CandidateConfig], Program]:
    """Import what runs candidates on the device; nothing of the candidate is loaded yet."""
    if config.device.kind is DeviceKind.SIM:
        # TVM FFI imports torch when it can, which costs more than everything else here together.
        # None in this table makes the import fail.
        sys.modules["torch"] = None  # type: ignore[assignment]
        from sandbox.child.simulated import load_simulated  # noqa: PLC0415 -- must follow the lines above

        if config.language.is_python:
            del sys.modules["torch"]
            if config.language is Language.MODELNEW and config.standin is not None:
                # Its extensions must find our CUDA runtime, and a PyTorch with CUDA loads NVIDIA's.
                from simgpu.cudart.bridge import preload  # noqa: PLC0415 -- likewise

                preload(config.standin)
            import sandbox.child.python_host  # noqa: F401, PLC0415 -- before anything of the candidate is loaded
        return partial(load_simulated, link=link)
    from sandbox.child.gpu import load_gpu, open_context  # noqa: PLC0415 -- torch only where it is needed

    # A card that fails here fails before the greeting, when nothing of the candidate's can be at fault.
    open_context(config.device.index)
    return partial(load_gpu, link=link)


def _nonce(request: CandidateRequest) -> str:
    asked = request.call or request.bench or request.load
    return asked.nonce if asked else ""


def _run(program: Program, request: CandidateRequest, message: Message) -> Execution:
    start = time.perf_counter()
    if request.call is not None:
        execution = program.call(request.call, message.tensors)
    elif request.load is not None:
        execution = Execution(state=ExitState.OK)
    elif request.bench is not None:
        length = len(message.tensors) // max(request.bench.sets, 1)
        sets = [message.tensors[i * length : (i + 1) * length] for i in range(request.bench.sets)]
        execution = program.bench(request.bench, sets)
    else:
        raise ValueError("a request asks for nothing")
    return replace(execution, seconds=time.perf_counter() - start)


def _reply(request: CandidateRequest, execution: Execution) -> Message:
    wants_arguments = request.call is not None and request.call.return_arguments
    reply = CandidateReply(
        nonce=_nonce(request),
        state=execution.state,
        message=execution.message,
        outputs=len(execution.outputs),
        diagnostics=execution.diagnostics,
        launches=execution.launches,
        seconds=execution.seconds,
        samples_us=execution.samples_us,
        host_ops=execution.host_ops,
        specialisations=execution.specialisations,
        context_lost=execution.context_lost,
        watched=execution.watched,
    )
    after = execution.arguments_after if wants_arguments else ()
    return Message(body=reply.model_dump_json(), tensors=(*execution.outputs, *after))


def serve(config: CandidateConfig, end: socket.socket) -> None:
    """Answer requests until the parent closes the channel; the candidate is loaded with the first one."""
    link = ParentLink(end)
    load = _loader(config, link)
    send(end, GREETING)
    program: Program | Execution | None = None
    while (message := receive(end)) is not None:
        request = CandidateRequest.model_validate_json(message.body)
        link.nonce = _nonce(request)
        if program is None:
            try:
                program = load(config)
            except LoadError as error:
                program = Execution(state=error.state, message=error.message)
        execution = program if isinstance(program, Execution) else _run(program, request, message)
        send(end, _reply(request, execution))


def main() -> None:
    """Serve on the channel that the last argument names."""
    config, descriptor = sys.argv[1:]
    with socket.socket(fileno=int(descriptor)) as end:
        serve(CandidateConfig.model_validate_json(config), end)
    sys.stdout.flush()
    # Libraries of the candidate are still loaded; their destructors are not worth running.
    os._exit(0)


if __name__ == "__main__":
    main()
