"""Reads of local memory that nothing has written: copying them is no fault, using them is."""

import numpy as np
import pytest

from simgpu.report import DiagnosticKind

SOURCE = r"""
struct Padded { double x; int n; };                 // four bytes of padding at the end
struct Flags { unsigned low : 3, high : 5; };
__device__ __noinline__ double of(Padded p) { return p.x * p.n; }
__device__ __noinline__ Padded made(double x, int n) { Padded p; p.x = x; p.n = n; return p; }
__device__ __noinline__ int twice(int n) { return 2 * n; }

extern "C" __global__ void padding(double* out, int i) {
  Padded some[3];
  for (int k = 0; k < 3; k++) some[k] = made(k + 0.5, threadIdx.x);
  Padded one = some[i];
  out[threadIdx.x] = of(one);
}
extern "C" __global__ void bits(double* out, int i) {
  Flags flags[2];
  for (int k = 0; k < 2; k++) { flags[k].low = k + 1; flags[k].high = threadIdx.x; }
  out[threadIdx.x] = flags[i].high * 8 + flags[i].low;
}
extern "C" __global__ void missing_element(double* out, int i) {
  int own[4];
  for (int k = 0; k < 3; k++) own[k] = k;
  out[threadIdx.x] = own[i + 2];                    // used
}
extern "C" __global__ void missing_argument(double* out, int i) {
  int own[4];
  for (int k = 0; k < 3; k++) own[k] = k;
  out[threadIdx.x] = twice(own[i + 2]);             // used
}
extern "C" __global__ void missing_bits(double* out, int i) {
  Flags flags[2];
  flags[0].low = 1;
  out[threadIdx.x] = flags[i].high;                 // used
}"""
DEBUG = ("-G", "-std=c++17")
LINES = [number for number, text in enumerate(SOURCE.splitlines(), 1) if text.endswith("// used")]


@pytest.fixture
def debug_run(card, compile_cuda):
    def run(kernel, *flags):
        module = compile_cuda(SOURCE, *flags, arch="sm_75")
        out = np.zeros(32)
        place = card.put(out)
        report = card.run(module, kernel, (1,), (32,), place, np.int32(1))
        return report, card.get(place, out)

    return run


@pytest.mark.parametrize(("kernel", "expected"), [("padding", 1.5 * np.arange(32)), ("bits", np.arange(32) * 8 + 2.0)])
def test_copies_of_padding_and_insertions_into_bit_fields_are_no_use(debug_run, kernel, expected):
    report, out = debug_run(kernel, *DEBUG)
    assert report.ok, report.diagnostics
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("flags", [DEBUG, ("-O3",)])
@pytest.mark.parametrize("kernel", ["missing_element", "missing_argument", "missing_bits"])
def test_a_use_of_unwritten_local_memory_is_reported(debug_run, kernel, flags):
    report, _ = debug_run(kernel, *flags)
    assert [seen.kind for seen in report.diagnostics] == [DiagnosticKind.UNINITIALISED_LOCAL]
    assert report.diagnostics[0].line in LINES
