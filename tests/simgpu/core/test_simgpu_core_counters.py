"""Counters of kernels that can be counted by hand."""

from dataclasses import replace

import numpy as np
import pytest

from simgpu import DiagnosticKind

STRIDED = r"""
extern "C" __global__ void copy(const float* x, float* y, int stride) { y[threadIdx.x] = x[threadIdx.x * stride]; }"""
TRANSPOSE = r"""
extern "C" __global__ void turn(const float* x, float* y) {
  __shared__ float tile[32][%d];
  tile[threadIdx.y][threadIdx.x] = x[threadIdx.y * 32 + threadIdx.x];
  __syncthreads();
  y[threadIdx.y * 32 + threadIdx.x] = tile[threadIdx.x][threadIdx.y];
}"""


def count(card, module, kernel, grid, block, *params, **options):
    report = card.run(module, kernel, grid, block, *params, counters=True, **options)
    assert report.ok, report.diagnostics
    return report.counters


def test_coalesced_and_strided_loads(card, compile_cuda):
    module = compile_cuda(STRIDED)
    x, y = card.put(np.zeros(128 * 8, np.float32)), card.put(np.zeros(128, np.float32))
    for stride, sectors in ((1, 16), (2, 32), (8, 128)):
        counters = count(card, module, "copy", (1,), (128,), x, y, np.int32(stride))
        assert counters.global_load_requests == 4
        assert counters.global_load_sectors == sectors
        assert counters.global_load_bytes == 512
        assert counters.unique_read_bytes == 32 * sectors
        assert counters.global_store_sectors == 16
        assert counters.unique_written_bytes == 512


def test_an_access_far_outside_the_card_is_counted_without_touching_what_lies_there(card, compile_cuda):
    module = compile_cuda("""
extern "C" __global__ void far(float* x, long long place) { x[place] = 1.f; }""")
    x = card.put(np.zeros(32, np.float32))
    # So far that a map with a byte for each sector has no page there, on either side.
    for place in (1 << 42, -(1 << 42)):
        report = card.run(module, "far", (1,), (1,), x, np.int64(place), counters=True)
        assert [one.kind for one in report.diagnostics] == [DiagnosticKind.OUT_OF_BOUNDS]
        assert report.counters.unique_written_bytes == 0


def test_shared_bank_conflicts_of_a_transpose(card, compile_cuda):
    x, y = card.put(np.zeros(1024, np.float32)), card.put(np.zeros(1024, np.float32))
    plain = count(card, compile_cuda(TRANSPOSE % 32), "turn", (1,), (32, 32), x, y)
    padded = count(card, compile_cuda(TRANSPOSE % 33), "turn", (1,), (32, 32), x, y)
    assert plain.shared_requests == padded.shared_requests == 64
    assert plain.shared_conflicts == 32 * 31
    assert padded.shared_conflicts == 0
    assert plain.barriers == 32


GATHER = r"""
#define KERNEL(name, type) extern "C" __global__ void name(const int* at, int* y) { \
  __shared__ type tile[1024]; \
  int place = at[threadIdx.x]; \
  if (place >= 0) { type read = ((volatile type*)tile)[place]; y[threadIdx.x] = int(read); } }
KERNEL(words, int)
KERNEL(doubles, double)
"""


def passes(places, size):
    """Return the extra passes of a warp's read: each part of it as often as its busiest bank has distinct places."""
    width = 32 * 4 // size
    parts = [[place for place in places[start : start + width] if place >= 0] for start in range(0, 32, width)]
    return sum(max([1, *(np.bincount(np.array([*set(part)], np.int64) % width))]) - 1 for part in parts if part)


@pytest.mark.parametrize(("kernel", "size"), [("words", 4), ("doubles", 8)])
def test_bank_conflicts_of_any_places(card, compile_cuda, kernel, size):
    module, rng = compile_cuda(GATHER), np.random.default_rng(size)
    y = card.put(np.zeros(32, np.int32))
    for reach in (1, 2, 8, 16, 17, 31, 32, 33, 40, 64, 1024):
        places = (rng.integers(0, 1025 - reach) + rng.integers(0, reach, 32)).astype(np.int32)
        places[rng.random(32) < 0.2] = -1
        counters = count(card, module, kernel, (1,), (32,), card.put(places), y, checks=False)
        assert counters.shared_conflicts == passes(places.tolist(), size), places


def test_instructions_flops_and_divergence(card, compile_cuda):
    module = compile_cuda(r"""
extern "C" __global__ void work(float* x, int n) {
  int i = threadIdx.x;
  float v = x[i];
  if (i % 2) { for (int k = 0; k < n; k++) v = v * 1.5f + 2.f; }
  x[i] = v;
}""")
    x = card.put(np.ones(64, np.float32))
    counters = count(card, module, "work", (1,), (64,), x, np.int32(8))
    assert counters.thread_flops["fp32"] == 32 * 8 * 2
    assert counters.instructions["global_load"] == 2
    assert counters.instructions["global_store"] == 2
    assert counters.divergent_branches >= 2
    assert counters.thread_instructions < 32 * sum(counters.instructions.values())


def test_a_sample_of_blocks_is_scaled_to_the_grid(card, compile_cuda):
    module = compile_cuda(r"""
extern "C" __global__ void add(float* x) { x[blockIdx.x * 64 + threadIdx.x] += 1.f; }""")
    x = card.put(np.zeros(64 * 1000, np.float32))
    whole = count(card, module, "add", (1000,), (64,), x)
    sample = card.run(module, "add", (1000,), (64,), x, counters=True, sample_blocks=10)
    assert sample.blocks_run == 10
    assert sample.counters == whole


def test_atomics_are_counted(card, compile_cuda):
    module = compile_cuda('extern "C" __global__ void hit(int* x) { if (threadIdx.x < 48) atomicAdd(x, 1); }')
    x = card.put(np.zeros(1, np.int32))
    counters = count(card, module, "hit", (1,), (64,), x)
    assert counters.atomic_requests == 2
    assert counters.atomic_lanes in {2, 48}


def test_memory_that_all_blocks_read_is_not_scaled_beyond_its_size(card, compile_cuda):
    module = compile_cuda(
        'extern "C" __global__ void bias(float* x, const float* b) { x[blockIdx.x * 64 + threadIdx.x] += b[threadIdx.x]; }'
    )
    x, b = card.put(np.zeros(64 * 1000, np.float32)), card.put(np.zeros(64, np.float32))
    report = card.run(module, "bias", (1000,), (64,), x, b, counters=True, sample_blocks=10)
    assert report.counters.unique_read_bytes == 64 * 1000 * 4 + 64 * 4


def test_instructions_are_counted_by_source_line(card, compile_cuda):
    source = r"""
extern "C" __global__ void work(float* x, int n) {
  int i = threadIdx.x;
  float v = x[i];
  if (i % 32 < 8) {
    for (int k = 0; k < n; k++) v = v * 1.5f + 2.f; // hot
  }
  x[i] = v; // store
}"""
    x = card.put(np.ones(64, np.float32))
    report = card.run(compile_cuda(source), "work", (3,), (64,), x, np.int32(100), counters=True)
    place = {text.rpartition("// ")[2]: number for number, text in enumerate(source.splitlines(), 1) if "// " in text}
    lines = {line.line: line for line in report.lines}
    assert lines[place["hot"]].instructions > 100 * lines[place["store"]].instructions / 4
    assert 8 <= lines[place["hot"]].active_lanes < 9
    assert lines[place["store"]].active_lanes == 32
    assert sum(line.thread_instructions for line in report.lines) <= report.counters.thread_instructions
    assert not card.run(compile_cuda(source), "work", (3,), (64,), x, np.int32(1)).lines


LINES = r"""
extern "C" __global__ void work(const float* x, float* y, int* hits, int stride) {
  __shared__ float tile[32 * 32];
  int i = threadIdx.x;
  float near = x[i];              // near
  float far = x[i * stride];      // far
  tile[i * 32] = near;            // banks
  tile[(i + 7) % 1024] = far;     // no banks
  __syncthreads();                // barrier
  if (i % 2) {                    // parting
    atomicAdd(&hits[i / 8], i);   // crowd
  }
  y[i] = tile[i] + far;           // out
}"""


def marked(source):
    return {text.rpartition("// ")[2]: number for number, text in enumerate(source.splitlines(), 1) if "// " in text}


def line_counters(report, source):
    lines = {line.line: line for line in report.lines}
    return {name: lines[number] for name, number in marked(source).items() if number in lines}


@pytest.fixture
def counted_lines(card, compile_cuda):
    x, y = card.put(np.ones(64 * 32, np.float32)), card.put(np.zeros(64, np.float32))
    hits = card.put(np.zeros(8, np.int32))

    def run(grid, **options):
        report = card.run(
            compile_cuda(LINES),
            "work",
            (grid,),
            (32,),
            x,
            y,
            hits,
            np.int32(32),
            checks=False,
            counters=True,
            **options,
        )
        assert report.ok, report.diagnostics
        return report, line_counters(report, LINES)

    return run


def test_each_line_has_its_own_sectors_conflicts_atomics_and_barriers(counted_lines):
    _, lines = counted_lines(2)
    near, far = lines["near"], lines["far"]
    assert (near.global_requests, near.global_sectors, near.global_bytes) == (2, 8, 256)
    assert (far.global_requests, far.sectors_per_request) == (2, 32.0)
    assert (near.wasted_sectors, far.wasted_sectors) == (0, 2 * 28)
    assert (lines["banks"].shared_requests, lines["banks"].shared_conflicts) == (2, 2 * 31)
    assert (lines["no banks"].shared_requests, lines["no banks"].shared_conflicts) == (2, 0)
    assert lines["barrier"].barriers == 2
    crowd = lines["crowd"]
    assert crowd.atomic_requests == 2
    assert crowd.atomic_lanes in {8, 32}  # nvcc may add the lanes of a warp up first
    assert lines["out"].global_sectors == 8
    assert (near.unique_bytes, far.unique_bytes, lines["out"].unique_bytes) == (128, 1024, 128)
    assert lines["banks"].unique_bytes is None
    assert dict(near.classes)["global_load"] == 2
    assert sum(number for _, number in near.classes) == near.instructions


def test_lines_of_a_sample_are_scaled_like_the_counters_and_add_up_to_them(counted_lines):
    report, whole = counted_lines(50)
    sample, part = counted_lines(50, sample_blocks=5)
    # Blocks that read the same bytes look like blocks that read others of their own, to a sample.
    assert {name: replace(line, unique_bytes=None) for name, line in part.items()} == {
        name: replace(line, unique_bytes=None) for name, line in whole.items()
    }
    counters = report.counters
    for name in ("shared_requests", "shared_conflicts", "atomic_lanes", "divergent_branches", "barriers"):
        assert sum(getattr(line, name) for line in report.lines) == getattr(counters, name), name
    sectors = counters.global_load_sectors + counters.global_store_sectors
    assert sum(line.global_sectors for line in sample.lines) == sectors


PARTING = r"""
extern "C" __global__ void hit(int* x, int* y) {
  int i = threadIdx.x;
  if (i % 32 < 20) {            // parting
    atomicCAS(&x[i % 3], 0, i); // crowd
  }
  y[i] = x[3 + i];
}"""


def test_contention_is_the_largest_number_of_lanes_at_one_address(card, compile_cuda):
    x, y = card.put(np.zeros(99, np.int32)), card.put(np.zeros(64, np.int32))
    report = card.run(compile_cuda(PARTING), "hit", (7,), (64,), x, y, counters=True, threads=2)
    lines = line_counters(report, PARTING)
    assert report.counters.atomic_contention == lines["crowd"].atomic_contention == 7
    assert lines["crowd"].atomic_lanes == 7 * 2 * 20
    assert lines["parting"].divergent_branches == 7 * 2
