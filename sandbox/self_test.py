"""Runs inside a sandbox and prints, as a JSON list, what it could do that it must not be able to."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

_OWN_PROCESSES = 3
"""The namespace's first process, bubblewrap's own, and this one."""


def _status() -> dict[str, str]:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _writable(folder: str) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _visible_processes() -> int:
    return sum(entry.name.isdigit() for entry in Path("/proc").iterdir())


def holes(canary: str) -> list[str]:
    """Return one sentence per hole."""
    status = _status()
    interfaces = [line.split(":")[0].strip() for line in Path("/proc/net/dev").read_text().splitlines()[2:]]
    checks = {
        "a file of the host's temporary folder is visible": Path(canary).exists(),
        "the system can be written": _writable("/usr"),
        "the root folder can be written": _writable("/"),
        "kernel settings can be written": os.access("/proc/sys/kernel/hostname", os.W_OK),
        "the network is reachable": any(name != "lo" for name in interfaces),
        "processes of the host are visible": _visible_processes() > _OWN_PROCESSES,
        "capabilities are left": int(status["CapEff"], 16) != 0,
        "new privileges can be gained": status.get("NoNewPrivs") != "1",
        "the private temporary folder cannot be written": not _writable(tempfile.gettempdir()),
    }
    return [sentence for sentence, found in checks.items() if found]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(holes(sys.argv[1])))
