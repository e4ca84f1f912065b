"""A child's way to ask its parent for something in the middle of a request: a CUDA extension to be built."""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path

from sandbox.channel import Message, receive, send
from sandbox.evidence import ExtensionRequest
from sandbox.protocol import CandidateReply, ExtensionAnswer
from sandbox.values import ExitState, KernelResources


class ExtensionRefusedError(RuntimeError):
    """The extension does not build; the message says why."""


class ParentLink:
    """Asks over the channel on which the child is answering a request.

    Parameters
    ----------
    end
        The child's end of the channel.
    """

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self.nonce = ""
        """Of the request that is being answered."""
        self.kernels: list[KernelResources] = []
        """Of the extensions that were built so far."""

    def extension(self, request: ExtensionRequest) -> Path:
        """Have an extension built; returns the shared object, in this process's own temporary folder.

        Raises
        ------
        ExtensionRefusedError
            It does not build.
        """
        asked = CandidateReply(nonce=self.nonce, state=ExitState.OK, wanted=request)
        send(self._end, Message(body=asked.model_dump_json()))
        message = receive(self._end)
        if message is None:
            raise ExtensionRefusedError("the parent is gone")
        answer = ExtensionAnswer.model_validate_json(message.body)
        if answer.error:
            raise ExtensionRefusedError(f"Error building extension '{request.name}': {answer.error}")
        self.kernels += answer.kernels
        library = Path(tempfile.mkdtemp(), "extension.so")
        library.write_bytes(message.tensors[0].data)
        return library
