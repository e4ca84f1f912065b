from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from sandbox.scratch import scratch_folder, sweep
from sandbox.users import FREE_USERS

HOLDS = """
import time
from sandbox.users import FREE_USERS
from sandbox.scratch import scratch_folder
with scratch_folder() as folder:
    print(folder, flush=True)
    time.sleep(600)
"""


def test_a_folder_is_gone_after_its_block(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with scratch_folder() as folder:
        (folder / "file").write_text("x")
        assert folder.parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_takes_what_a_killed_process_left_and_nothing_that_is_held(tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", HOLDS], stdout=subprocess.PIPE, text=True, env=environment) as maker:
        left = Path(maker.stdout.readline().strip())
        assert sweep(tmp_path, settled_seconds=0) == ()
        maker.send_signal(signal.SIGKILL)
    if os.geteuid() == 0:
        os.chown(left, FREE_USERS.start, -1)  # lent to a sandbox's user when its maker was killed
    held = tmp_path / "kernelwright-run-young"
    held.mkdir()
    assert sweep(tmp_path) == ()
    held.rmdir()
    assert sweep(tmp_path, settled_seconds=0) == (left,)
    assert not left.exists()
