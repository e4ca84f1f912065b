from __future__ import annotations

import ctypes
import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sandbox.build import build, compile_program
from sandbox.settings import SandboxSettings
from sandbox.values import BuildError, BuildErrorKind, Candidate, Language, Limits, SourceFile
from tasks.errors import UserError

HEAD = "#include <torch/extension.h>\n"
RELU = 'extern "C" __global__ void relu(const float* x, float* y, int n) {\n  int i = blockIdx.x * blockDim.x + threadIdx.x;\n  if (i < n) y[i] = fmaxf(x[i], 0.f);\n}\n'
RELU_SPEC = """
inputs = ["x"]
[[outputs]]
name = "y"
dtype = "x"
shape = ["x.shape[0]"]
[[launches]]
kernel = "relu"
grid = ["cdiv(x.numel, 256)"]
block = [256]
args = ["x", "y", { int32 = "x.numel" }]
"""


def cuda(text: str, entry: str = "forward", name: str = "kernel.cu") -> Candidate:
    return Candidate(language=Language.CUDA, files=(SourceFile(name=name, text=text),), entry=entry)


def raw(text: str, spec: str) -> Candidate:
    files = (SourceFile(name="kernel.cu", text=text), SourceFile(name="launch.toml", text=spec))
    return Candidate(language=Language.RAW, files=files)


def test_an_extension_builds_with_ptx_resources_and_is_cached(settings, sources):
    candidate = cuda((sources / "softmax.cu").read_text())
    first = build(candidate, "sm_90", settings)
    again = build(candidate, "sm_90", settings)
    assert again.cached
    assert again == first.model_copy(update={"cached": True})
    assert again.library is not None
    assert (again.folder / again.library).is_file()
    ptx = (again.folder / again.ptx).read_text()
    assert ".target sm_90" in ptx
    assert ".loc" in ptx
    assert len(again.kernels) == 4
    for kernel in again.kernels:
        assert kernel.kernel in ptx
        assert 8 <= kernel.registers <= 64
        assert kernel.static_shared == 128
    # Uncompressed, so that the simulated card can read it.
    assert b".target sm_90" in (again.folder / again.library).read_bytes()


def test_another_architecture_is_another_build(settings):
    source = (
        HEAD
        + "__global__ void k(float* x) { x[0] = __fmaf_rn(x[0], 2.f, 1.f); }\ntorch::Tensor forward(torch::Tensor x) { k<<<1, 1>>>(x.data_ptr<float>()); return x; }\n"
    )
    built = build(cuda(source), "sm_80", settings)
    assert not built.cached
    assert ".target sm_80" in (built.folder / built.ptx).read_text()


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        (
            "torch::Tensor forward(torch::Tensor x) { return x }",
            BuildErrorKind.SYNTAX,
            'kernel.cu(2): error: expected a ";"',
        ),
        ("#include <cutlass/cutlass.h>", BuildErrorKind.MISSING_HEADER, "cutlass/cutlass.h"),
        ("torch::Tensor forward(torch::Tensor x) { return at::matmul(x, x); }", BuildErrorKind.UNDECLARED, "matmul"),
        ("torch::Tensor forward(torch::Tensor x) { return x.softmax(1); }", BuildErrorKind.UNDECLARED, "softmax"),
        (
            "torch::Tensor forward(torch::Tensor x) { float* p = x.data_ptr<int>(); return x; }",
            BuildErrorKind.TYPE_MISMATCH,
            "float *",
        ),
        (
            "__global__ void k(float* x) { __shared__ float s[100000]; s[threadIdx.x] = x[0]; __syncthreads(); x[1] = s[5]; }\ntorch::Tensor forward(torch::Tensor x) { k<<<1, 1>>>(x.data_ptr<float>()); return x; }",
            BuildErrorKind.RESOURCES,
            "too much shared data",
        ),
        (
            '__global__ void k(float* x) { asm volatile("bogus.f32 %0, %0;" : "+f"(x[0])); }\ntorch::Tensor forward(torch::Tensor x) { k<<<1, 1>>>(x.data_ptr<float>()); return x; }',
            BuildErrorKind.PTXAS,
            "bogus",
        ),
        (
            "void other(float*);\ntorch::Tensor forward(torch::Tensor x) { other(x.data_ptr<float>()); return x; }",
            BuildErrorKind.LINK,
            "other(float*)",
        ),
        ("torch::Tensor fwd(torch::Tensor x) { return x; }", BuildErrorKind.SPEC, "no host function `forward`"),
        ("torch::Tensor forward(FILE* x) { return torch::Tensor(); }", BuildErrorKind.SPEC, "neither a tensor"),
        (
            "torch::Tensor forward(torch::Tensor x) { return x; }\ntorch::Tensor forward(torch::Tensor x, int y) { return x; }",
            BuildErrorKind.SPEC,
            "cannot be called",
        ),
    ],
    ids=[
        "syntax",
        "header",
        "operator",
        "method",
        "type",
        "shared",
        "ptxas",
        "link",
        "no-entry",
        "parameter",
        "overloaded",
    ],
)
def test_a_failed_build_is_classified_with_the_lines_that_matter(settings, body, kind, said):
    with pytest.raises(BuildError) as failure:
        build(cuda(HEAD + body), "sm_90", settings)
    assert failure.value.kind is kind
    assert said in failure.value.summary
    assert len(failure.value.summary) < 2000


def test_a_compilation_that_takes_too_long_is_stopped(settings):
    endless = "template <int N> struct T { static constexpr int v = T<N - 1>::v + T<N - 2>::v; };\n"
    source = (
        HEAD
        + endless
        + "constexpr int f(long n) { long s = 0; for (long i = 0; i < n; ++i) s += i % 7; return s; }\nconstexpr int v = f(1l << 40);\n"
    )
    with pytest.raises(BuildError) as failure:
        build(cuda(source), "sm_90", settings, Limits(wall_seconds=0.2))
    assert failure.value.kind is BuildErrorKind.TIMEOUT


@pytest.mark.parametrize(
    "candidate",
    [
        cuda("", name="../kernel.cu"),
        cuda("", name="a b.cu"),
        cuda("", name="kernelwright_entry.cu"),
        cuda("", entry="f()"),
        Candidate(language=Language.CUDA, files=()),
        Candidate(
            language=Language.CUDA, files=(SourceFile(name="kernel.cu", text=""), SourceFile(name="../../x", text=""))
        ),
        Candidate(language=Language.CUDA, files=(SourceFile(name="kernel.cu", text=""),) * 2),
        Candidate(language=Language.RAW, files=(SourceFile(name="kernel.cu", text=RELU),)),
    ],
    ids=["folder", "blank", "reserved", "entry", "nothing", "other-folder", "twice", "no-spec"],
)
def test_a_candidate_of_the_wrong_shape_is_told_so_before_anything_runs(settings, candidate):
    with pytest.raises(BuildError) as failure:
        build(candidate, "sm_90", settings)
    assert failure.value.kind is BuildErrorKind.SPEC


def test_device_code_with_a_launch_specification_builds(settings):
    built = build(raw(RELU, RELU_SPEC), "sm_90", settings)
    assert built.library is None
    assert [kernel.kernel for kernel in built.kernels] == ["relu"]
    assert built.kernels[0].registers > 0
    assert (built.folder / "launch.toml").read_text() == RELU_SPEC
    assert "kernel.cu" in (built.folder / built.ptx).read_text()


@pytest.mark.parametrize(
    ("text", "spec", "kind", "said"),
    [
        (RELU, RELU_SPEC.replace('kernel = "relu"', 'kernel = "gelu"'), BuildErrorKind.SPEC, "it defines: relu"),
        (RELU.replace("fmaxf", "no_such"), RELU_SPEC, BuildErrorKind.UNDECLARED, "no_such"),
        (RELU.replace(");", ")"), RELU_SPEC, BuildErrorKind.SYNTAX, "expected a"),
        ("#include <nothing.h>\n" + RELU, RELU_SPEC, BuildErrorKind.MISSING_HEADER, "nothing.h"),
    ],
    ids=["kernel", "undeclared", "syntax", "header"],
)
def test_a_failed_raw_build_is_classified(settings, text, spec, kind, said):
    with pytest.raises(BuildError) as failure:
        build(raw(text, spec), "sm_90", settings)
    assert failure.value.kind is kind
    assert said in failure.value.summary


def test_source_cannot_read_files_of_the_host(settings, tmp_path):
    secret = tmp_path / "secret.h"
    secret.write_text('#error "hunter2"\n')
    if settings.isolation != "process":
        with pytest.raises(BuildError) as failure:
            build(cuda(f'#include "{secret}"\n'), "sm_90", settings)
        assert "hunter2" not in failure.value.log


def test_programs_build_with_headers_of_their_own_folder_and_follow_their_changes(settings, tmp_path):
    program = tmp_path / "the program.cu"
    program.write_text('#include "sizes/size.h"\n__global__ void k() {}\nint main() { k<<<1, N>>>(); return 0; }\n')
    (tmp_path / "sizes").mkdir()
    (tmp_path / "sizes" / "size.h").write_text("#define N 1\n")
    first = compile_program([program], "sm_90", settings)
    assert first.is_file()
    (tmp_path / "unused.h").write_text("#define N 3\n")
    assert compile_program([program], "sm_90", settings) == first
    (tmp_path / "sizes" / "size.h").write_text("#define N 2\n")
    assert compile_program([program], "sm_90", settings) != first


def test_a_program_has_several_sources_folders_of_headers_and_flags(settings, tmp_path):
    common = tmp_path / "common"
    common.mkdir()
    (common / "answer.h").write_text("int answer();\n")
    (tmp_path / "answer.cpp").write_text('#include "answer.h"\nint answer() { return ANSWER; }\n')
    program = tmp_path / "program.cu"
    program.write_text('#include "answer.h"\nint main() { return answer(); }\n')
    sources = [program, tmp_path / "answer.cpp"]
    built = compile_program(sources, "sm_90", settings, include=[common], flags=["-DANSWER=42"])
    assert ctypes.CDLL(str(built)).main() == 42
    with pytest.raises(BuildError) as caught:
        compile_program(sources, "sm_90", settings, flags=["-DANSWER=42"])
    assert caught.value.kind is BuildErrorKind.MISSING_HEADER
    assert "answer.h" in caught.value.summary
    with pytest.raises(UserError, match="nowhere is not a folder"):
        compile_program(sources, "sm_90", settings, include=[tmp_path / "nowhere"])


def test_a_program_may_lie_right_in_a_folder_of_which_the_sandbox_has_its_own(settings):
    with (
        tempfile.NamedTemporaryFile("w", suffix=".h", dir="/tmp") as header,
        tempfile.NamedTemporaryFile("w", suffix=".cu", dir="/tmp") as program,
    ):
        header.write("#define ANSWER 42\n")
        header.flush()
        program.write(f'#include "{Path(header.name).name}"\nint main() {{ return ANSWER; }}\n')
        program.flush()
        for text in (header, program):
            Path(text.name).chmod(0o644)
        built = compile_program([Path(program.name)], "sm_90", settings)
    assert ctypes.CDLL(str(built)).main() == 42


def test_a_program_that_is_not_there_is_the_users_mistake(settings):
    with pytest.raises(UserError, match="is not a file"):
        compile_program([Path("/nonexistent.cu")], "sm_90", settings)


def test_two_builders_of_one_source_get_one_build(tmp_path):
    settings = SandboxSettings(cache_dir=tmp_path)
    with ThreadPoolExecutor(2) as pool:
        built = list(pool.map(lambda _: build(raw(RELU, RELU_SPEC), "sm_90", settings), range(2)))
    assert built[0].folder == built[1].folder
    assert json.loads((built[0].folder / "build.json").read_text())["candidate_hash"] == built[0].candidate_hash
