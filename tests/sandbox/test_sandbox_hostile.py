"""Sources that attack the compilers or the machine: each gets a clear refusal within its limits, and leaves nothing."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pydantic import ValidationError

from sandbox.build import build
from sandbox.evidence import ExtensionRequest
from sandbox.settings import SandboxSettings
from sandbox.values import BuildError, BuildErrorKind, Candidate, Language, Limits, SourceFile

SECONDS = 20
"""Wall time of one build here; ending it and cleaning up may take some more."""
CANARY = "canary-5f0c7d1e-content"
HOST = "\ntorch::Tensor forward(torch::Tensor x) { return x; }\n"
HEAD = "#include <torch/extension.h>\n"
KERNEL = 'extern "C" __global__ void k(float* x) { x[0] = 1.f; }\n'
SPEC = """
inputs = ["x"]
[[outputs]]
name = "y"
dtype = "float32"
shape = [1]
[[launches]]
kernel = "k"
grid = [1]
block = [1]
args = ["y"]
"""
TRITON = "import triton\n@triton.jit\ndef k(x):\n    pass\ndef forward(x):\n    return x\n"

Kind = BuildErrorKind


@dataclass(frozen=True)
class Hostile:
    """One source, what becomes of it, and a part of the sentence."""

    text: Callable[[str], str] | str
    """The source, or what makes it from the path of a secret file."""
    kinds: tuple[BuildErrorKind, ...]
    said: str
    language: Language = Language.CUDA
    spec: str = field(default=SPEC)

    def candidate(self, canary: Path) -> Candidate:
        text = self.text if isinstance(self.text, str) else self.text(str(canary))
        name = "kernel.py" if self.language.is_python else "kernel.cu"
        files = [SourceFile(name=name, text=text)]
        if self.language is Language.RAW:
            files.append(SourceFile(name="launch.toml", text=self.spec))
        return Candidate(language=self.language, files=tuple(files))


def _bomb() -> str:
    doubled = "\n".join(f"#define L{i} L{i - 1} L{i - 1} L{i - 1} L{i - 1}" for i in range(1, 15))
    return f"#define L0 x += 1;\n{doubled}\n__global__ void k(int x) {{ L14 }}\n{HEAD}{HOST}"


ENDLESS = "template <int N> struct E { static constexpr int v = E<N + 1>::v; };\n__device__ int e = E<0>::v;\n"
SPIN = "constexpr unsigned spin() { unsigned s = 0; for (unsigned i = 0; i < 4000000000u; ++i) s += i; return s; }\n"
SPIN += "__device__ unsigned s = spin(); static_assert(spin() != 1);\n"
FORBIDDEN = (Kind.FORBIDDEN,)
CUDA = {
    "absolute-include": Hostile(lambda p: f'#include "{p}"\n{HEAD}{HOST}', FORBIDDEN, "includes a file of the machine"),
    "parent-include": Hostile(f'#include "../../../../../etc/passwd"\n{HEAD}{HOST}', FORBIDDEN, "includes a file"),
    "angle-include": Hostile(f"#include </proc/self/environ>\n{HEAD}{HOST}", FORBIDDEN, "includes a file"),
    "spliced-include": Hostile(lambda p: f'#inc\\\nlude "{p}"\n{HEAD}{HOST}', FORBIDDEN, "includes a file"),
    "commented-include": Hostile(
        lambda p: f'# /* x */ include /* y */ "{p}"\n{HEAD}{HOST}', FORBIDDEN, "includes a file"
    ),
    "digraph-include": Hostile(lambda p: f'%: include "{p}"\n{HEAD}{HOST}', FORBIDDEN, "includes a file"),
    "embed": Hostile(lambda p: f'const char s[] = {{\n#embed "{p}"\n}};\n{HEAD}{HOST}', FORBIDDEN, "embeds a file"),
    "incbin": Hostile(lambda p: f'asm(".incbin \\"{p}\\"");\n{HEAD}{HOST}', FORBIDDEN, "by the assembler"),
    "assembler-include": Hostile(lambda p: f'asm(".include \\"{p}\\"");\n{HEAD}{HOST}', FORBIDDEN, "by the assembler"),
    "line": Hostile(lambda p: f'#line 1 "{p}"\nint x = undeclared;\n{HEAD}{HOST}', FORBIDDEN, "names as its own place"),
    "line-marker": Hostile(
        lambda p: f'# 1 "{p}"\nint x = undeclared;\n{HEAD}{HOST}', FORBIDDEN, "names as its own place"
    ),
    "dependency": Hostile(lambda p: f'#pragma GCC dependency "{p}"\n{HEAD}{HOST}', FORBIDDEN, "asks for the age"),
    "macro-include": Hostile(
        lambda p: f'#define F "{p}"\n#include F\n{HEAD}{HOST}', (Kind.MISSING_HEADER,), "No such file"
    ),
    "macro-incbin": Hostile(
        lambda p: f'{HEAD}asm(".inc" "bin \\"{p}\\"");{HOST}', (Kind.OTHER, Kind.MISSING_HEADER), "file not found"
    ),
    "self-include": Hostile(f"#include __FILE__\n{HEAD}{HOST}", (Kind.OTHER,), "#include nested depth"),
    "endless-template": Hostile(f"{ENDLESS}{HEAD}{HOST}", (Kind.OTHER, Kind.TIMEOUT, Kind.TYPE_MISMATCH), ""),
    "endless-constexpr": Hostile(f"{SPIN}{HEAD}{HOST}", (Kind.OTHER, Kind.TIMEOUT, Kind.TYPE_MISMATCH), ""),
    "macro-bomb": Hostile(_bomb(), (Kind.OTHER, Kind.TIMEOUT, Kind.UNDECLARED, Kind.TYPE_MISMATCH), ""),
    "huge-object": Hostile(f"{HEAD}char big[1u << 30] = {{1}};{HOST}", (Kind.OTHER,), "File size limit exceeded"),
    "huge-device-object": Hostile(
        f"{HEAD}__device__ char big[1u << 31] = {{1}};{HOST}",
        (Kind.OTHER, Kind.PTXAS, Kind.RESOURCES, Kind.TIMEOUT),
        "",
    ),
    "warning-flood": Hostile(
        "#warning flood\n" * 150_000 + f"{HEAD}{HOST}{'}'}", (Kind.SYNTAX, Kind.OTHER, Kind.TIMEOUT), ""
    ),
    "error-flood": Hostile(
        f"{HEAD}" + "".join(f"int e{i} = u{i};\n" for i in range(60_000)) + HOST, (Kind.UNDECLARED, Kind.TIMEOUT), ""
    ),
    "long": Hostile("// x\n" * 1_000_000, (Kind.SPEC,), "bytes of source"),
    "long-line": Hostile("int a" + "a" * (1 << 20) + ";", (Kind.SPEC,), "a line of"),
    "deep": Hostile(f"{HEAD}int x = {'(' * 100_000}1{')' * 100_000};{HOST}", (Kind.SPEC,), "brackets are open at once"),
    "nul": Hostile(f"{HEAD}\0{HOST}", (Kind.SPEC,), "NUL"),
}
RAW = {
    "raw-include": Hostile(lambda p: f'#include "{p}"\n{KERNEL}', FORBIDDEN, "includes a file", Language.RAW),
    "raw-macro-include": Hostile(
        lambda p: f'#define F "{p}"\n#include F\n{KERNEL}', (Kind.MISSING_HEADER, Kind.OTHER), "", Language.RAW
    ),
    "raw-endless-template": Hostile(ENDLESS + KERNEL, (Kind.OTHER, Kind.TIMEOUT, Kind.TYPE_MISMATCH), "", Language.RAW),
    "raw-endless-constexpr": Hostile(SPIN + KERNEL, (Kind.OTHER, Kind.TIMEOUT, Kind.TYPE_MISMATCH), "", Language.RAW),
    "toml-nesting": Hostile(KERNEL, (Kind.SPEC,), "", Language.RAW, "x = " + "[" * 1500 + "]" * 1500),
    "toml-deep-nesting": Hostile(KERNEL, (Kind.SPEC,), "", Language.RAW, "x = " + "[" * 50_000 + "]" * 50_000),
    "toml-many-launches": Hostile(
        KERNEL, (Kind.SPEC,), "launches", Language.RAW, SPEC + SPEC[SPEC.index("[[launches]]") :] * 200
    ),
    "toml-many-sizes": Hostile(
        KERNEL, (Kind.SPEC,), "shape", Language.RAW, SPEC.replace("[1]", f"[{'1, ' * 100_000}]", 1)
    ),
}
IMPORTED = (Kind.OTHER, Kind.TIMEOUT)
PYTHON = {
    name: Hostile(code + "\n" + TRITON, kinds, said, Language.TRITON)
    for name, code, kinds, said in (
        ("fork-bomb", "import os\nwhile True: os.fork()", IMPORTED, ""),
        ("sleep", "import time\ntime.sleep(1000)", (Kind.TIMEOUT,), "cannot be imported"),
        ("hoard", "kept = []\nwhile True: kept.append(bytearray(1 << 26))", IMPORTED, "cannot be imported"),
        ("exit", "import os\nos._exit(0)", (Kind.OTHER,), "exited with code 0"),
        ("sys-exit", "import sys\nsys.exit(0)", (Kind.OTHER,), "SystemExit"),
        ("print-flood", "while True: print('flood' * 10000)", (Kind.TIMEOUT,), "cannot be imported"),
        ("recursion", "def f(n): return f(n + 1)\nf(0)", (Kind.OTHER,), "RecursionError"),
        ("segfault", "import ctypes\nctypes.string_at(0)", (Kind.OTHER,), "SIGSEGV"),
        ("socket", "import socket\nsocket.create_connection(('1.1.1.1', 53), 3)", (Kind.OTHER,), "Error"),
        ("write", "open('/usr/kernelwright-was-here', 'w').write('x')", (Kind.OTHER,), "Error"),
        ("fill-disk", "f = open('fill', 'wb')\nwhile True: f.write(bytes(1 << 24))", IMPORTED, "cannot be imported"),
        ("parent", "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\nraise KeyError('alive')", (Kind.OTHER,), ""),
        ("daemon", "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(654.25)\nraise KeyError('done')",
         (Kind.OTHER,), "done"),
        ("deep", "x = " + "(" * 5000 + "1" + ")" * 5000, (Kind.SPEC,), "brackets"),
        ("unary", "x = " + "-" * 200_000 + "1", (Kind.SYNTAX,), "kernel.py"),
    )
}  # fmt: skip
PYTHON["read"] = Hostile(lambda p: f"print(open({p!r}).read())\n{TRITON}", (Kind.OTHER,), "Error", Language.TRITON)
PYTHON["tamper"] = Hostile(
    "import pathlib\npathlib.Path(__file__).write_text('import os')\nraise KeyError('tried')\n" + TRITON,
    (Kind.OTHER,), "", Language.TRITON,
)  # fmt: skip
LISTED = CUDA | RAW | PYTHON


@pytest.fixture(scope="module")
def own_settings(tmp_path_factory) -> SandboxSettings:
    return SandboxSettings(cache_dir=tmp_path_factory.mktemp("hostile"), compile_seconds=SECONDS, memory_bytes=2 << 30)


@pytest.fixture(scope="module")
def canary(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("secret") / "canary.h"
    place.write_text(f'#error "{CANARY}"\nint {CANARY.replace("-", "_")};\n')
    return place


def processes(marker: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if marker in command:
                found.append(command)
    return found


@pytest.mark.parametrize("name", LISTED)
def test_a_hostile_source_gets_a_clear_refusal_and_leaves_nothing(own_settings, canary, name):
    hostile = LISTED[name]
    start, peak = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BuildError) as caught:
        build(hostile.candidate(canary), "sm_90", own_settings)
    seconds = time.monotonic() - start
    error = caught.value
    assert error.kind in hostile.kinds, error.summary
    assert hostile.said in error.summary
    assert 0 < len(error.summary) < 8000
    assert len(error.log) <= 300_000
    said = error.summary + error.log
    assert CANARY not in said
    assert CANARY.replace("-", "_") not in said
    assert seconds < 6 * SECONDS
    assert list(own_settings.cache_dir.glob("scratch/*")) == []
    assert processes(str(own_settings.cache_dir)) == []
    assert not Path("/usr/kernelwright-was-here").exists()
    # Whatever the compiler printed or made, this process, which may have run other tests before, hardly grows.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 1 << 18


@pytest.mark.parametrize(
    "name",
    [
        "../kernel.cu",
        "/etc/kernel.cu",
        "a/b.cu",
        "kernel\n.cu",
        "kernel\0.cu",
        "@kernel.cu",
        "-o.cu",
        "",
        "ké.cu",
        ".cu",
    ],
)
@pytest.mark.parametrize("language", [Language.CUDA, Language.RAW])
def test_a_file_has_a_plain_name(own_settings, name, language):
    files = (SourceFile(name=name, text=HEAD + HOST), SourceFile(name="launch.toml", text=SPEC))
    with pytest.raises(BuildError, match="is not a plain file name") as caught:
        build(Candidate(language=language, files=files), "sm_90", own_settings)
    assert caught.value.kind is Kind.SPEC


def test_text_that_is_no_unicode_is_no_source():
    with pytest.raises(ValidationError):
        SourceFile(name="kernel.cu", text="\udcff")


@pytest.mark.parametrize("entry", ["forward; system", "forward\n", "1", "", "a(b", "fôrward"])
def test_an_entry_is_a_function_name(own_settings, entry):
    candidate = Candidate(language=Language.CUDA, files=(SourceFile(name="kernel.cu", text=HEAD + HOST),), entry=entry)
    with pytest.raises(BuildError, match="not a function name"):
        build(candidate, "sm_90", own_settings)


def test_a_wanted_extension_is_held_to_the_same(own_settings, canary):
    from sandbox.build.python_support import PythonSupport  # noqa: PLC0415 - the package's own order of imports

    support = PythonSupport(own_settings, "sm_90")
    request = ExtensionRequest(name="e", source=f'#include "{canary}"\n{HOST}', functions=("forward",))
    with pytest.raises(BuildError) as caught:
        support.extension(request)
    assert caught.value.kind is Kind.FORBIDDEN


def test_a_compiler_that_needs_too_much_memory_is_stopped(own_settings):
    wide = "template <int... N> struct S {};\ntemplate <int N, int... R> struct M : M<N - 1, N, R...> {};\n"
    wide += "template <int... R> struct M<0, R...> { S<R...> s; };\n__device__ M<800> a; "
    source = wide + "".join(f"__device__ M<{800 - i}> a{i};" for i in range(1, 60)) + HEAD + HOST
    limits = Limits(wall_seconds=60, memory_bytes=200 << 20)
    with pytest.raises(BuildError, match=r"memory|did not end"):
        build(
            Candidate(language=Language.CUDA, files=(SourceFile(name="kernel.cu", text=source),)),
            "sm_90",
            own_settings,
            limits,
        )
