from __future__ import annotations

import os

from sandbox.toolchain import find_toolchain, findings


def test_every_part_is_where_it_is_said_to_be():
    tools = find_toolchain()
    for path in (tools.nvcc, tools.ptxas, tools.gxx):
        assert os.access(path, os.X_OK)
    for path in (
        tools.cudart,
        tools.tvm_ffi_library,
        tools.headers / "light" / "torch" / "extension.h",
        *tools.cuda_includes,
    ):
        assert path.exists()
    # The wheels, never an installation of the system's.
    assert "nvidia/cu13" in str(tools.nvcc)


def test_the_identity_names_every_version():
    tools = find_toolchain()
    for part in (tools.cuda_version, tools.gxx_version, tools.tvm_ffi_version):
        assert part
        assert part in tools.identity


def test_findings_have_a_remedy_for_what_is_missing():
    found = {finding.name: finding for finding in findings()}
    ways = {"isolation", "isolation: bubblewrap", "isolation: docker", "isolation: process"}
    assert {"nvcc", "nvrtc", "g++", "tvm-ffi", "gpu"} | ways == found.keys()
    for finding in found.values():
        assert finding.detail
        assert finding.ok or finding.remedy
    assert found["nvcc"].ok
    assert not found["gpu"].required


def test_a_machine_without_a_host_compiler_is_told_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = {finding.name: finding for finding in findings()}
    assert not found["g++"].ok
    assert "apt-get install g++" in found["g++"].remedy
