"""The cost model on what the simulator counts: real kernels, compiled by nvcc, in the orders that cards show."""

import struct
import subprocess
import sysconfig
from pathlib import Path

import pytest

from simgpu import DeviceMemory, LaunchOptions, launch, load_module
from simgpu.cost import model_launch
from simgpu.specs import device_spec, known_devices

NVCC = Path(sysconfig.get_path("purelib")) / "nvidia" / "cu13" / "bin" / "nvcc"
SOURCE = r"""
template <int kPad> __device__ void transpose(const float* in, float* out, int n) {
  __shared__ float tile[32][32 + kPad];
  const int x = blockIdx.x * 32 + threadIdx.x, y = blockIdx.y * 32 + threadIdx.y;
  for (int row = 0; row < 32; row += 8) tile[threadIdx.y + row][threadIdx.x] = in[(y + row) * n + x];
  __syncthreads();
  const int to_x = blockIdx.y * 32 + threadIdx.x, to_y = blockIdx.x * 32 + threadIdx.y;
  for (int row = 0; row < 32; row += 8) out[(to_y + row) * n + to_x] = tile[threadIdx.x][threadIdx.y + row];
}
extern "C" {
__global__ void copy(const float* in, float* out, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = in[i];
}
__global__ void copy4(const float4* in, float4* out, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (4 * i < n) out[i] = in[i];
}
__global__ void copy_strided(const float* in, float* out, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  const int at = (i % 32) * (n / 32) + i / 32;
  if (i < n) out[at] = in[at];
}
__global__ void copy_looped(const float* in, float* out, int n) {
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) out[i] = in[i];
}
__global__ void transpose_conflicted(const float* in, float* out, int n) { transpose<0>(in, out, n); }
__global__ void transpose_padded(const float* in, float* out, int n) { transpose<1>(in, out, n); }
__global__ void transpose_naive(const float* in, float* out, int n) {
  const int x = blockIdx.x * 32 + threadIdx.x, y = blockIdx.y * 32 + threadIdx.y;
  for (int row = 0; row < 32; row += 8) out[x * n + y + row] = in[(y + row) * n + x];
}
__global__ void product_naive(const float* a, const float* b, float* c, int n) {
  const int column = blockIdx.x * 16 + threadIdx.x, row = blockIdx.y * 16 + threadIdx.y;
  float sum = 0;
  for (int k = 0; k < n; ++k) sum += a[row * n + k] * b[k * n + column];
  c[row * n + column] = sum;
}
__global__ void product_tiled(const float* a, const float* b, float* c, int n) {
  __shared__ float tile_a[16][16], tile_b[16][16];
  const int column = blockIdx.x * 16 + threadIdx.x, row = blockIdx.y * 16 + threadIdx.y;
  float sum = 0;
  for (int start = 0; start < n; start += 16) {
    tile_a[threadIdx.y][threadIdx.x] = a[row * n + start + threadIdx.x];
    tile_b[threadIdx.y][threadIdx.x] = b[(start + threadIdx.y) * n + column];
    __syncthreads();
    for (int k = 0; k < 16; ++k) sum += tile_a[threadIdx.y][k] * tile_b[k][threadIdx.x];
    __syncthreads();
  }
  c[row * n + column] = sum;
}
__global__ void sum_by_atomics(const float* in, float* out, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) atomicAdd(out, in[i]);
}
__global__ void sum_by_shuffles(const float* in, float* out, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  float value = i < n ? in[i] : 0;
  for (int step = 16; step > 0; step /= 2) value += __shfl_down_sync(0xffffffffu, value, step);
  if (threadIdx.x % 32 == 0) atomicAdd(out, value);
}
}
"""
ELEMENTS = 1 << 22
SIDE = 2048
CARDS = [device_spec(name) for name in known_devices()]


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kernels")
    (folder / "kernels.cu").write_text(SOURCE)
    command = [NVCC, "-ptx", "-arch=sm_80", "-o", folder / "kernels.ptx", folder / "kernels.cu"]
    subprocess.run(command, check=True)
    return load_module((folder / "kernels.ptx").read_text())


@pytest.fixture(scope="module")
def measure(module):
    """Return a function that counts a launch once, then models it on any card."""
    memory = DeviceMemory(1 << 28)
    buffers = [memory.allocate(4 * ELEMENTS) for _ in range(3)]
    counted = {}

    def model(spec, kernel, grid, block, *, n=ELEMENTS, pointers=2):
        if (kernel, grid) not in counted:
            params = struct.pack(f"<{pointers}Qi", *buffers[:pointers], n)
            options = LaunchOptions(counters=True, sample_blocks=64)
            report = launch(
                module, kernel, grid=grid, block=block, params=params, dynamic_shared=0, memory=memory, options=options
            )
            assert report.ok
            counted[kernel, grid] = report.counters
        static = module.kernels[kernel].static_shared
        return model_launch(spec, counted[kernel, grid], grid, block, 32, static, 0).microseconds

    return model


@pytest.mark.parametrize("spec", CARDS, ids=lambda spec: spec.name)
class TestKernelsRankAsOnACard:
    def test_coalesced_beats_strided(self, measure, spec):
        grid = (ELEMENTS // 256, 1, 1)
        assert measure(spec, "copy", grid, (256, 1, 1)) < 0.75 * measure(spec, "copy_strided", grid, (256, 1, 1))

    def test_wide_loads_are_no_slower(self, measure, spec):
        scalar = measure(spec, "copy", (ELEMENTS // 256, 1, 1), (256, 1, 1))
        assert measure(spec, "copy4", (ELEMENTS // 1024, 1, 1), (256, 1, 1)) <= scalar

    def test_a_full_card_beats_a_few_blocks(self, measure, spec):
        times = [measure(spec, "copy_looped", (blocks, 1, 1), (256, 1, 1)) for blocks in (8, 64, 1024)]
        assert times == sorted(times, reverse=True)

    def test_transposes_rank_padded_conflicted_naive(self, measure, spec):
        grid, block = (SIDE // 32, SIDE // 32, 1), (32, 8, 1)
        names = ("transpose_padded", "transpose_conflicted", "transpose_naive")
        padded, conflicted, naive = (measure(spec, name, grid, block, n=SIDE) for name in names)
        assert padded < conflicted
        assert padded < naive

    def test_a_tiled_product_beats_the_naive_one(self, measure, spec):
        grid, block = (64, 64, 1), (16, 16, 1)
        naive, tiled = (measure(spec, f"product_{how}", grid, block, n=1024, pointers=3) for how in ("naive", "tiled"))
        assert tiled < naive

    def test_fewer_atomics_are_faster(self, measure, spec):
        grid, block = (ELEMENTS // 256, 1, 1), (256, 1, 1)
        assert measure(spec, "sum_by_shuffles", grid, block) < measure(spec, "sum_by_atomics", grid, block)
