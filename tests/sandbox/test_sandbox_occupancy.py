from __future__ import annotations

import pytest

from sandbox.build import build
from sandbox.child.extension import refuse_cuda_build
from sandbox.child.program import LoadError
from sandbox.occupancy import card_of, kernel_occupancy
from sandbox.toolchain import find_toolchain
from sandbox.values import Candidate, ExitState, KernelResources, Language, SourceFile
from simgpu.occupancy import OccupancyLimit

SOURCE = """
#include <torch/extension.h>
__global__ void __launch_bounds__(256) k(const float* x, float* y) {
  __shared__ float s[256];
  int unused;
  s[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
#if __CUDA_ARCH__ >= 900
  y[threadIdx.x] = s[255 - threadIdx.x];
#else
  y[threadIdx.x] = 2.0f * s[255 - threadIdx.x];
#endif
}
torch::Tensor forward(torch::Tensor x) {
  auto y = torch::empty_like(x);
  k<<<1, 256>>>(x.data_ptr<float>(), y.data_ptr<float>());
  return y;
}
"""


def kernel(registers: int, shared: int = 0, arch: str = "sm_90") -> KernelResources:
    return KernelResources(kernel="k", arch=arch, registers=registers, static_shared=shared)


def test_occupancy_is_what_nvidias_calculator_says():
    few, many = kernel_occupancy([kernel(32), kernel(128)], threads=(256,))
    assert (few.card, few.blocks_per_sm, few.warps_per_sm, few.fraction) == ("h100", 8, 64, 1.0)
    assert (many.blocks_per_sm, many.warps_per_sm, many.limit) == (2, 16, OccupancyLimit.REGISTERS)


def test_dynamic_shared_memory_counts_and_may_be_too_much():
    half, none = (kernel_occupancy([kernel(32)], (256,), bytes_)[0] for bytes_ in (100 << 10, 300 << 10))
    assert (half.blocks_per_sm, half.limit, half.dynamic_shared) == (2, OccupancyLimit.SHARED, 100 << 10)
    assert none.blocks_per_sm == 0


def test_an_architecture_without_a_known_card_has_no_figures():
    assert card_of("sm_80") == "a100"
    assert kernel_occupancy([kernel(32, arch="sm_37")]) == ()


def test_one_build_holds_several_architectures(settings):
    candidate = Candidate(language=Language.CUDA, files=(SourceFile(name="kernel.cu", text=SOURCE),))
    built = build(candidate, "sm_90", settings, more_archs=("sm_80",))
    assert (built.arch, built.more_archs) == ("sm_90", ("sm_80",))
    assert {(item.arch, item.static_shared) for item in built.kernels} == {("sm_90", 1024), ("sm_80", 1024)}
    assert ".target sm_90" in (built.folder / str(built.ptx)).read_text()
    library = (built.folder / str(built.library)).read_bytes()
    assert b".target sm_90" in library
    assert b".target sm_80" in library
    (warning,) = built.warnings
    assert (warning.file, warning.line) == ("kernel.cu", 5)
    assert "never referenced" in warning.message
    assert build(candidate, "sm_90", settings).more_archs == ()
    if find_toolchain().nvdisasm is None:
        assert built.sass is None
    else:
        assert "sm_90" in (built.folder / str(built.sass)).read_text()


def test_a_library_of_pytorchs_cuda_build_is_refused_on_a_simulated_card(tmp_path):
    library = tmp_path / "candidate.so"
    library.write_bytes(b"\x7fELF libtorch_cpu.so")
    refuse_cuda_build(library)
    library.write_bytes(b"\x7fELF libc10_cuda.so libtorch_cpu.so")
    with pytest.raises(LoadError, match="need a real GPU") as refusal:
        refuse_cuda_build(library)
    assert refusal.value.state is ExitState.UNSUPPORTED
