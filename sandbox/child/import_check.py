"""Imports a Python candidate on a simulated card, to see that it can be imported.

Run as `python -m sandbox.child.import_check SOURCE ENTRY ARCH GUARD ERROR_FILE`; what is wrong goes to ERROR_FILE.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from sandbox.child.card import Card
from sandbox.child.host import HostError
from sandbox.child.python_host import PythonHost, call_function
from simgpu.errors import SimgpuError
from simgpu.specs import device_spec, known_devices

_MEMORY_BYTES = 2 << 30


def main(arguments: list[str]) -> int:
    """Import; returns the exit code."""
    source, entry, arch, guard, error_file = arguments
    cards = [device_spec(name) for name in known_devices()]
    # Any card will do for an architecture that none has: nothing but the import runs on it.
    spec = next((card for card in cards if card.arch == arch), cards[0])
    try:
        host = PythonHost(Path(source).resolve(), Card(spec, _MEMORY_BYTES), Path(guard))
        call_function(host.load(), entry)
    except (HostError, SimgpuError) as error:
        Path(error_file).write_text(str(error), encoding="utf-8")
        return 1
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    # The candidate's threads and exit handlers are not waited for.
    os._exit(main(sys.argv[1:]))
