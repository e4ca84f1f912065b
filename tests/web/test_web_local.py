"""The backend of a real server: the queue, the sandbox, the devices."""

from __future__ import annotations

import pytest

from dataset.archive import Archive
from dataset.values import RunConfig, RunState
from tasks.errors import UserError
from web.local import LocalBackend


@pytest.fixture
def backend(tmp_path):
    with Archive.open() as archive:
        yield LocalBackend(archive)


def test_a_submitted_run_is_recorded_and_queued(backend, own_data):
    config = RunConfig(task=backend.library()[0], device="sim:h100", model="offline", seed=1)
    run = backend.submit(config)
    with Archive.open() as archive:
        assert archive.run(run.id).state is RunState.QUEUED
    messages = [path for path in (own_data / "kernelwright" / "broker").iterdir() if path.is_file()]
    assert len(messages) == 1


def test_names_are_settled(backend):
    assert backend.devices()[0] == "auto"
    assert "sim:h100" in backend.devices()
    assert backend.device_name("sim:a100") == "sim:a100"
    assert backend.model_name(None) == "offline"
    with pytest.raises(UserError, match="sim:h100"):
        backend.device_name("sim:nothing")


def test_a_library_task_is_loaded_by_its_slug(backend):
    task = backend.library()[0]
    assert backend.load(task.slug) == task


@pytest.mark.slow
def test_a_users_op_is_examined_in_the_sandbox_and_its_error_is_told(backend, tmp_path):
    op = tmp_path / "twice.py"
    op.write_text(
        "import torch\n\nrows = 8\n\ndef twice(x):\n    return x * 2\n\ndef get_inputs():\n    return [torch.rand(rows)]\n"
    )
    assert backend.load(str(op)).slug == "twice"
    op.write_text("import torch\n\ndef twice(x):\n    return y\n\ndef get_inputs():\n    return [torch.rand(3)]\n")
    with pytest.raises(UserError, match="name 'y' is not defined"):
        backend.load(str(op))
    assert {finding.name for finding in backend.findings()} >= {"nvcc", "database", "broker"}
