"""What every test stands on: its own data folder, and no settings of the person who runs it."""

import os
from pathlib import Path

import pytest

from sandbox.devices import find_gpus
from sandbox.toolchain import find_torch_headers
from simgpu.cudart.bridge import preload
from simgpu.cudart.native_build import build_standin

if find_torch_headers().with_cuda and not find_gpus():
    # Tests of the stand-in runtime share a process with tests that import PyTorch, and such a one brings NVIDIA's.
    preload(build_standin())

# Long lists of kernels and programs that all try the same machinery: `make test-corpus`, which CI runs too.
CORPORA = (
    "agent/offline/test_agent_offline_kernels.py",
    "cli/test_cli_build.py",
    "cli/test_cli_module_op.py",
    "cli/test_cli_tasks_check.py",
    "exploits/test_exploits_families.py",
    "sandbox/test_sandbox_build_errors.py",
    "sandbox/test_sandbox_hostile.py",
    "sandbox/test_sandbox_modelnew.py",
    "sandbox/test_sandbox_probes.py",
    "sandbox/test_sandbox_quarantine.py",
    "sandbox/test_sandbox_script.py",
    "sandbox/test_sandbox_stress.py",
    "sandbox/test_sandbox_triton.py",
    "sandbox/test_sandbox_verdicts.py",
    "sandbox/docker/test_sandbox_docker_daemon.py",
    "sandbox/extensions/",
    "sandbox/soak/",
    "simgpu/corpus/",
    "simgpu/host/test_simgpu_host_corpus.py",
    "simgpu/host/test_simgpu_host_native_build.py",
    "simgpu/triton/",
    "tasks/test_tasks_library_probed.py",
    "verifier/test_verifier_cancelling_kernels.py",
    "verifier/test_verifier_kernels.py",
    "verifier/test_verifier_races.py",
    "verifier/test_verifier_replay_golden.py",
    "verifier/test_verifier_sixteen.py",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.relative_to(Path(__file__).parent).as_posix().startswith(CORPORA):
            item.add_marker(pytest.mark.corpus)


@pytest.fixture(autouse=True)
def own_data(tmp_path_factory, monkeypatch):
    """Keep a test away from the user's runs, settings and keys; builds share the user's cache, which is by content."""
    for name in list(os.environ):
        if name.startswith(("KERNELWRIGHT_", "OPENAI_")) and name != "KERNELWRIGHT_CACHE_DIR":
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("XDG_DATA_HOME", str(home))
    monkeypatch.setenv("KERNELWRIGHT_SETTINGS", str(home / "kernelwright.toml"))
    return home
