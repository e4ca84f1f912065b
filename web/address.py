"""Where the server listens, and who may know it by which name."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address

from sandbox.settings import IsolationChoice
from tasks.errors import UserError
from web.gate import LOOPBACK
from web.settings import WebSettings


def refuse_remote(host: str, settings: WebSettings, isolation: IsolationChoice) -> None:
    """Refuse an address that other machines reach, unless the settings allow it and what runs there is isolated.

    Raises
    ------
    UserError
        They do not, or it is not.
    """
    if isolation is IsolationChoice.PROCESS and not _is_loopback(host):
        msg = (
            f"'{host}' can be reached from other machines, and KERNELWRIGHT_ISOLATION=process runs what they send with"
            " this user's files and network in reach. Listen on 127.0.0.1, or leave the isolation to `auto`."
        )
        raise UserError(msg)
    if not settings.allow_remote and not _is_loopback(host):
        msg = (
            f"'{host}' can be reached from other machines, and there is no login: whoever reaches the page runs code"
            " here. Listen on 127.0.0.1, or set KERNELWRIGHT_ALLOW_REMOTE=true if that is what you want."
        )
        raise UserError(msg)


def host_names(host: str, settings: WebSettings) -> frozenset[str]:
    """Return the names by which browsers may address the server."""
    names = LOOPBACK | {*settings.allowed_hosts}
    return names if _is_loopback(host) else names | {host, socket.gethostname()}


@contextmanager
def listen(host: str, port: int) -> Iterator[socket.socket]:
    """Listen on an address before anything else is started.

    Raises
    ------
    UserError
        It is in use, needs more rights, or is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            msg = f"Port {port} on {host} is in use; stop what uses it, or choose another with --port."
        elif error.errno == errno.EACCES:
            msg = f"Port {port} needs more rights than this user has; choose one above 1023 with --port."
        else:
            msg = f"'{host}' is not an address of this machine ({error.strerror}); use 127.0.0.1."
        raise UserError(msg) from error
    with listener:
        yield listener


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
