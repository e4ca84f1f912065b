"""What real compilers say of spoiled sources, by class, place and sentence."""

from __future__ import annotations

import pytest

from sandbox.build import build
from sandbox.values import BuildError, BuildErrorKind, Candidate, Language, SourceFile
from tests.sandbox.extensions.case import SOURCES

SPOILED = [
    # name, what is replaced, by what, class, what the summary must say, where
    ("relu_basic", "return y;", "return y", BuildErrorKind.SYNTAX, 'expected a ";"', "kernel.cu(19)"),
    ("relu_basic", "auto y = torch", "auto y = torhc", BuildErrorKind.UNDECLARED, "torhc", "kernel.cu(13)"),
    ("relu_basic", "<cuda.h>", "<cuda_helpers.h>", BuildErrorKind.MISSING_HEADER, "cuda_helpers.h", "kernel.cu:2"),
    ("lltm_cell", "elu(gates[n][2][c])", "relu(gates[n][2][c])", BuildErrorKind.UNDECLARED, "relu", "kernel.cu(30)"),
    ("relu_basic", "x.data_ptr<float>(), y", "x, y", BuildErrorKind.TYPE_MISMATCH, "const float *", "kernel.cu(17)"),
    ("launch_bounds", "[TILE + 1]", "[TILE * 100]", BuildErrorKind.RESOURCES, "too much shared data", "transpose_tiled"),
    ("inline_ptx", "tanh.approx.f32", "tanh.exact.f32", BuildErrorKind.PTXAS, "exact", "kernel.cu(5)"),
    ("checks", "outer<<<", "extern void launch(); launch(); outer<<<", BuildErrorKind.LINK, "launch()", ""),
    ("inline_ptx", "mov.u32 %0, %%laneid;", "mov.u32 %0, %%laneid; wgmma.fence.sync.aligned;", BuildErrorKind.ARCHITECTURE, "built for sm_80", "kernel.cu(10)"),
    ("inline_ptx", "mov.u32 %0, %%laneid;", "mov.u32 %0, %%laneid; cp.async.bulk.commit_group;", BuildErrorKind.ARCHITECTURE, "needs sm_90 or newer; it is built for sm_80", "kernel.cu(10)"),
    ("relu_basic", "#include <cuda.h>", "#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900\n#error needs SM90\n#endif", BuildErrorKind.ARCHITECTURE, "needs sm_90 or newer; it is built for sm_80", "kernel.cu:3"),
    ("stream_raw", "at::Tensor forward(", "at::Tensor run(", BuildErrorKind.SPEC, "no host function `forward`", ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "old", "new", "kind", "said", "where"), SPOILED, ids=[f"{case[0]}-{case[3].value}" for case in SPOILED]
)
def test_a_spoiled_source_is_classified_and_placed(settings, name, old, new, kind, said, where):  # noqa: PLR0917
    text = (SOURCES / f"{name}.cu").read_text()
    assert old in text
    source = SourceFile(name="kernel.cu", text=text.replace(old, new))
    with pytest.raises(BuildError) as failure:
        build(Candidate(language=Language.CUDA, files=(source,)), "sm_80", settings)
    error = failure.value
    assert (error.kind, said in error.summary, where in error.summary) == (kind, True, True), error.summary
    assert len(error.summary) < 2000
