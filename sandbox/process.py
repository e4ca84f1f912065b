"""A process tree that is not trusted: started held, watched while it works, ended whole."""

from __future__ import annotations

import selectors
import signal
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sandbox.channel import GREETING, ChannelError, FrameLimits, FrameReader, Message, encode
from sandbox.disk import DiskWatch
from sandbox.holding import Isolation, Mounts
from sandbox.output import OutputTail
from sandbox.values import ExitState, Limits
from tasks.errors import InfraError

_TICK_SECONDS = 0.05
_CHECK_SECONDS = 0.1
"""Between two looks at what the tree uses; each reads the whole of /proc."""
_GREETING_SECONDS = 120.0
"""How long a child may take to load our own code; PyTorch on a cold, busy disk takes tens of seconds."""
_CLOSING_SECONDS = 3.0
"""How long a process that closed its channel may take to end by itself."""
_HOLDING_PROCESSES = 2
"""What may hold the command is part of its tree: a warden, or bubblewrap's monitor and the first process inside."""


class ProcessFailedError(Exception):
    """The process tree ended, or was ended, before it answered.

    Parameters
    ----------
    state
        Which limit it broke, or `crashed`.
    message
        One sentence.
    """

    def __init__(self, state: ExitState, message: str) -> None:
        super().__init__(message)
        self.state = state
        self.message = message


@dataclass(frozen=True, slots=True)
class Finished:
    """How a command ended by itself."""

    code: int
    """Exit code; 128 + N after signal N."""
    output: str
    """Standard error, then standard output; the last part of each."""


class HeldProcess:
    """One held process tree with bounded output. A context manager: nothing survives its end.

    Parameters
    ----------
    command
        Program and arguments.
    isolation
        How it is held.
    limits
        What it may use. `wall_seconds` is not enforced here but by each call's deadline.
    mounts
        Paths that it needs.
    home
        Its home and temporary folder where the isolation has no private one.
    descriptors
        Open descriptors that it inherits, beyond the three standard ones.

    Raises
    ------
    InfraError
        It cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        isolation: Isolation,
        limits: Limits,
        mounts: Mounts,
        home: Path | None = None,
        descriptors: Sequence[int] = (),
    ) -> None:
        self._limits = limits
        self._next_check = 0.0
        self._ended = False
        self._disk = DiskWatch(mounts.writable, limits)
        try:
            prepared = isolation.launch(command, limits, mounts, home)
        except OSError as error:
            raise InfraError(f"a sandboxed process cannot be prepared: {error}") from error
        self._tree = prepared.start(descriptors)
        self._streams = [OutputTail(stream) for stream in self._tree.streams]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def output(self) -> str:
        """The last part of standard error, then of standard output."""
        for stream in self._streams:
            stream.drain()
        return "\n".join(text for stream in self._streams if (text := stream.text))

    def check(self, deadline: float) -> None:
        """Drain the output and enforce the limits, at most once per interval.

        Raises
        ------
        ProcessFailedError
            A limit is broken; the tree was ended.
        """
        now = time.monotonic()
        if now < min(self._next_check, deadline):
            return
        self._next_check = now + _CHECK_SECONDS
        for stream in self._streams:
            stream.drain()
        self._expect_memory()
        if excess := self._disk.excess():
            self._fail(ExitState.CRASHED, excess)
        use = self._tree.use()
        if use.resident_bytes > self._limits.memory_bytes:
            self._fail(ExitState.OUT_OF_MEMORY, self._memory_sentence)
        if use.processes > self._limits.processes + _HOLDING_PROCESSES:
            self._fail(ExitState.CRASHED, f"it ran more than {self._limits.processes} processes and threads")
        if now > deadline:
            self._fail(ExitState.TIMEOUT, "it did not end within its time")

    def wait(self, seconds: float) -> Finished:
        """Wait until the command ends by itself.

        Raises
        ------
        ProcessFailedError
            A limit is broken; the tree was ended.
        """
        deadline = time.monotonic() + seconds
        while (code := self._wait_for(deadline)) is None:
            self.check(deadline)
        self._expect_memory()
        self._expect_held(code)
        return Finished(code=code if code >= 0 else 128 - code, output=self.output)

    def end_of(self) -> str:
        """Describe how a process that is gone, or about to go, ended.

        Raises
        ------
        ProcessFailedError
            The kernel ended it at its memory limit.
        """
        code = (
            self._tree.poll() if self._ended else self._wait_for(time.monotonic() + _CLOSING_SECONDS, _CLOSING_SECONDS)
        )
        self._expect_memory()
        if code is None:
            return "it closed its channel and stayed"
        number = -code if code < 0 else code - 128
        if number in signal.valid_signals():
            return f"it was killed by {signal.Signals(number).name}"
        return f"it exited with code {code}"

    def end(self) -> None:
        """End the whole tree; returns once it is gone, and what was its alone is removed."""
        if self._ended:
            return
        self._ended = True
        self._tree.end()
        for stream in self._streams:
            stream.close()

    def _wait_for(self, deadline: float, step: float = _TICK_SECONDS) -> int | None:
        """Wait for the command's end, a step at most; returns how it ended, None where it did not."""
        with selectors.PollSelector() as selector:
            selector.register(self._tree, selectors.EVENT_READ)
            selector.select(max(min(step, deadline - time.monotonic()), 0))
        return self._tree.poll()

    @property
    def _memory_sentence(self) -> str:
        return f"it used more than {self._limits.memory_bytes >> 20} MiB of memory"

    def _expect_memory(self) -> None:
        if not self._ended and self._tree.ran_out_of_memory():
            self._fail(ExitState.OUT_OF_MEMORY, self._memory_sentence)

    def _expect_held(self, code: int) -> None:
        if not self._ended and not self._tree.was_held():
            last = self.output.splitlines()[-1:] or [f"it exited with code {code}"]
            raise InfraError(f"a sandboxed process cannot be held: {last[0]}")

    def _fail(self, state: ExitState, message: str) -> None:
        self.end()
        raise ProcessFailedError(state, message)


class HeldChild:
    """A held process that greets, then answers messages over a channel, one at a time.

    Parameters are those of `HeldProcess`; the child finds its end of the channel at the descriptor that its last
    argument names. It loads while its parent does other work: only the first exchange waits for the greeting.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        isolation: Isolation,
        limits: Limits,
        mounts: Mounts,
        home: Path | None = None,
        frame_limits: FrameLimits | None = None,
    ) -> None:
        ours, theirs = socket.socketpair()
        try:
            self._process = HeldProcess(
                [*command, str(theirs.fileno())],
                isolation=isolation,
                limits=limits,
                mounts=mounts,
                home=home,
                descriptors=(theirs.fileno(),),
            )
        except InfraError:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)  # noqa: FBT003 -- the standard library's own signature
        self._socket = ours
        self._reader = FrameReader(frame_limits)
        self._greeted = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def output(self) -> str:
        """What the process printed, bounded; never trusted."""
        return self._process.output

    def end(self) -> None:
        """End the whole tree."""
        self._socket.close()
        self._process.end()

    def exchange(self, message: Message, seconds: float) -> Message:
        """Send a message and wait for the answer.

        Raises
        ------
        ProcessFailedError
            The child died, broke a limit, or sent something that is no message; its tree was ended.
        InfraError
            The child did not come as far as its greeting: nothing untrusted was loaded yet.
        """
        self._await_greeting()
        deadline = time.monotonic() + seconds
        try:
            self._expect_silence()
            self._send(message, deadline)
            return self._receive(deadline)
        except (ChannelError, OSError) as error:
            how = self._process.end_of() if isinstance(error, OSError | _ClosedError) else str(error)
            self.end()
            raise ProcessFailedError(ExitState.CRASHED, how) from error
        except ProcessFailedError:
            self._socket.close()
            raise

    def _await_greeting(self) -> None:
        if self._greeted:
            return
        try:
            greeting = self._receive(time.monotonic() + _GREETING_SECONDS)
        except (ChannelError, OSError, ProcessFailedError) as error:
            how = self._how(error)
            self.end()
            printed = self.output.splitlines()
            detail = f": {printed[-1]}" if printed else ""
            raise InfraError(f"a sandboxed process did not start, {how}{detail}") from error
        if greeting != GREETING:
            self.end()
            raise InfraError("a sandboxed process did not start: it greets as another version would")
        self._greeted = True

    def _how(self, error: Exception) -> str:
        if isinstance(error, ProcessFailedError):
            return error.message
        try:
            return self._process.end_of()
        except ProcessFailedError as failure:
            return failure.message

    def _expect_silence(self) -> None:
        """Refuse whatever was sent unasked: it would be read as the answer."""
        with suppress(BlockingIOError):
            if not self._socket.recv(1):
                raise _ClosedError
            raise ChannelError("it sent something before it was asked")

    def _send(self, message: Message, deadline: float) -> None:
        for piece in encode(message):
            rest = memoryview(piece)
            while rest:
                self._ready(selectors.EVENT_WRITE, deadline)
                with suppress(BlockingIOError):
                    rest = rest[self._socket.send(rest) :]

    def _receive(self, deadline: float) -> Message:
        while True:
            self._ready(selectors.EVENT_READ, deadline)
            try:
                count = self._socket.recv_into(self._reader.space())
            except BlockingIOError:
                continue
            if count == 0:
                raise _ClosedError
            answer = self._reader.advance(count)
            if answer is not None:
                return answer

    def _ready(self, event: int, deadline: float) -> None:
        """Wait until the socket can go on, watching the limits meanwhile."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, event)
            # Also when the socket is always ready: a child that only chatters must not outlive its time.
            self._process.check(deadline)
            while not selector.select(_TICK_SECONDS):
                self._process.check(deadline)


class _ClosedError(ChannelError):
    """The child closed its end."""
