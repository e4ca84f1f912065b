from __future__ import annotations

import os

import pytest

from sandbox.build import build
from sandbox.build.cache import BuildCache
from sandbox.isolation import choose_isolation
from sandbox.reference import SandboxProber
from sandbox.settings import HeaderChoice, IsolationChoice, SandboxSettings
from sandbox.values import BuildError, BuildErrorKind, Candidate, Language, SourceFile
from tasks.errors import UserError

RAW = Candidate(
    language=Language.RAW,
    files=(
        SourceFile(name="kernel.cu", text='extern "C" __global__ void k(float* y) { y[0] = 1.f; }\n'),
        SourceFile(
            name="launch.toml",
            text='inputs = []\n[[outputs]]\nname = "y"\ndtype = "float32"\nshape = [1]\n[[launches]]\nkernel = "k"\ngrid = [1]\nblock = [1]\nargs = ["y"]\n',
        ),
    ),
)

EXTENSION = Candidate(
    language=Language.CUDA,
    files=(
        SourceFile(
            name="kernel.cu",
            text="#include <torch/types.h>\nat::Tensor forward(at::Tensor x) { return mistyped(x); }\n",
        ),
    ),
)


def test_cache_dir_is_where_builds_go(tmp_path, monkeypatch):
    monkeypatch.setenv("KERNELWRIGHT_CACHE_DIR", str(tmp_path / "here"))
    assert build(RAW, "sm_90").folder.is_relative_to(tmp_path / "here")


def test_compile_seconds_bounds_a_build(tmp_path):
    settings = SandboxSettings.load(cache_dir=tmp_path, compile_seconds=0.05)
    with pytest.raises(BuildError) as failure:
        build(RAW, "sm_90", settings)
    assert failure.value.kind is BuildErrorKind.TIMEOUT


def test_headers_choose_what_an_extension_is_compiled_against(tmp_path):
    settings = SandboxSettings.load(cache_dir=tmp_path, headers="full", full_compile_seconds=0.05)
    with pytest.raises(BuildError, match=r"within 0.05 s") as failure:
        build(EXTENSION, "sm_90", settings)
    assert failure.value.kind is BuildErrorKind.TIMEOUT
    # The light headers have a limit of their own, and no need of the full ones for a mistake in the source.
    built = settings.model_copy(update={"headers": HeaderChoice.AUTO})
    with pytest.raises(BuildError) as mistake:
        build(EXTENSION, "sm_90", built)
    assert mistake.value.kind is BuildErrorKind.UNDECLARED


def test_cache_bytes_bounds_the_cache(tmp_path):
    settings = SandboxSettings.load(cache_dir=tmp_path, cache_bytes=1000)
    cache = BuildCache(settings.cache_dir, settings.cache_bytes)

    def fill(folder):
        (folder / "artefact").write_bytes(b"x" * 600)

    for name in "abc":
        folder = cache.entry(name * 64, fill).folder
        if name != "c":
            os.utime(folder / "manifest.json", (1, 1))
    # What was used just now stays, however large.
    assert [cache.find(name * 64) is not None for name in "abc"] == [False, False, True]


@pytest.mark.parametrize(
    ("flags", "source", "said"),
    [
        ({"probe_seconds": 0.5}, "while True: pass", "within 0.5 s"),
        # The process itself, PyTorch loaded, takes some 300 MiB.
        ({"memory_bytes": 1 << 30}, "hoard = b'x' * (2 << 30)\nwhile True: pass", "more than 1024 MiB"),
    ],
)
def test_probe_seconds_and_memory_bytes_bound_a_child(flags, source, said):
    with pytest.raises(UserError, match=said):
        SandboxProber(SandboxSettings.load(**flags)).probe(source)


def test_isolation_chooses_how_processes_are_held(monkeypatch):
    monkeypatch.setenv("KERNELWRIGHT_ISOLATION", "process")
    assert choose_isolation(SandboxSettings.load().isolation).name == "process"
    assert SandboxSettings.load(isolation="auto").isolation is IsolationChoice.AUTO


@pytest.mark.parametrize(("name", "value"), [("ISOLATION", "none"), ("CALL_SECONDS", "-1"), ("MEMORY_BYTES", "much")])
def test_a_value_that_is_not_legal_is_the_users_mistake(monkeypatch, name, value):
    monkeypatch.setenv(f"KERNELWRIGHT_{name}", value)
    with pytest.raises(UserError, match=name.lower()):
        SandboxSettings.load()
