"""The stand-in CUDA runtime, called by compiled host code; the engine behind it is a fake that writes launches down."""

import ctypes
import struct
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from simgpu import LaunchOptions
from simgpu.cudart import StandInRuntime
from simgpu.cudart.fake import FakeEngine, FakeKernel, FakeMemory, FakeModule, FakeParameter
from simgpu.cudart.native_build import build_standin
from simgpu.cudart.repeats import LaunchKey, RepeatedLaunches
from simgpu.errors import UnsupportedError
from simgpu.report import Counters, Diagnostic, DiagnosticKind
from simgpu.specs import device_spec

HOST = r"""
#include <cooperative_groups.h>
#include <cuda_runtime.h>
#include <string.h>

struct Odd { char tag; double value; };
__constant__ float scale[4] = {1, 2, 3, 4};
__device__ int counter;
__global__ void kernel(float* data, int n, Odd odd) { if (n) data[0] = scale[n & 3] + odd.value + odd.tag + counter; }
__global__ void empty() {}

extern "C" {
int launch(void* data, int n, int gx, int bx, int shared) {
  kernel<<<gx, bx, shared>>>((float*)data, n, Odd{7, 2.5});
  return cudaGetLastError();
}
int launch_by_function(int gx) {
  void* data = nullptr; int n = 3; Odd odd{1, 4.0};
  void* arguments[] = {&data, &n, &odd};
  return cudaLaunchKernel((const void*)kernel, dim3(gx), dim3(32), arguments, 0, 0);
}
int launch_extended(int cooperative, int cluster) {
  cudaLaunchAttribute attribute[2] = {};
  attribute[0].id = cudaLaunchAttributeCooperative;
  attribute[0].val.cooperative = cooperative;
  attribute[1].id = cudaLaunchAttributeClusterDimension;
  attribute[1].val.clusterDim = {(unsigned)cluster, 1, 1};
  cudaLaunchConfig_t config = {dim3(4), dim3(32), 0, 0, attribute, 2};
  return cudaLaunchKernelEx(&config, empty);
}
int allow_shared(int bytes) { return cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes); }
int attributes(int* out) {
  cudaFuncAttributes a; int code = cudaFuncGetAttributes(&a, kernel);
  out[0] = a.numRegs; out[1] = a.maxThreadsPerBlock; out[2] = a.maxDynamicSharedSizeBytes; return code;
}
int occupancy(int threads) { int n = -1; cudaOccupancyMaxActiveBlocksPerMultiprocessor(&n, kernel, threads, 0); return n; }
int potential_block() { int grid = 0, block = 0; cudaOccupancyMaxPotentialBlockSize(&grid, &block, kernel); return block; }
int to_symbol(int value, int offset) { return cudaMemcpyToSymbol(counter, &value, 4, offset); }
int from_symbol() { int value = 0; cudaMemcpyFromSymbol(&value, counter, 4); return value; }
int elapsed(float* milliseconds, int launches) {
  cudaEvent_t a, b; cudaEventCreate(&a); cudaEventCreate(&b);
  cudaEventRecord(a);
  for (int i = 0; i < launches; ++i) empty<<<1, 32>>>();
  cudaEventRecord(b); cudaEventSynchronize(b);
  return cudaEventElapsedTime(milliseconds, a, b);
}
int properties(cudaDeviceProp* p) { return cudaGetDeviceProperties(p, 0); }
int properties_size() { return sizeof(cudaDeviceProp); }
int property_name(char* out) { cudaDeviceProp p; int c = cudaGetDeviceProperties(&p, 0); strcpy(out, p.name); return c; }
int sms() { cudaDeviceProp p; cudaGetDeviceProperties(&p, 0); return p.multiProcessorCount; }
int texture() { cudaTextureObject_t t; return cudaCreateTextureObject(&t, nullptr, nullptr, nullptr); }
}
"""


@pytest.fixture(scope="module")
def host(nvcc_library, standin):
    return ctypes.CDLL(str(nvcc_library(HOST)))


@pytest.fixture(scope="module")
def standin():
    """The stand-in itself, loaded before anything that needs it."""
    return ctypes.CDLL(str(build_standin()), mode=ctypes.RTLD_GLOBAL)


@pytest.fixture
def module():
    parameters = (FakeParameter(0, 8), FakeParameter(8, 4), FakeParameter(16, 16))
    kernels = {"_Z6kernelPfi3Odd": FakeKernel(parameters), "_Z5emptyv": FakeKernel()}
    return FakeModule(kernels, {"counter": 4, "scale": 16})


@pytest.fixture
def runtime(module, host):
    memory = FakeMemory(1 << 20)
    running = StandInRuntime(device_spec("h100"), memory, LaunchOptions(), engine=FakeEngine(module, memory))
    running.install()
    yield running
    running.close()


@pytest.fixture
def runtime_that_counts_when_timed(module, host):
    memory = FakeMemory()
    engine = FakeEngine(module, memory)
    running = StandInRuntime(device_spec("h100"), memory, LaunchOptions(), engine=engine, count_when_timed=True)
    running.install()
    yield running
    running.close()


def malloc(standin, nbytes):
    pointer = ctypes.c_void_p()
    assert standin.cudaMalloc(ctypes.byref(pointer), ctypes.c_size_t(nbytes)) == 0
    return pointer


def fault(kind=DiagnosticKind.OUT_OF_BOUNDS):
    return Diagnostic(kind=kind, kernel="kernel", message="a store", ptx_line=3, file="k.cu", line=7)


def test_a_launch_carries_its_shape_and_its_packed_arguments(runtime, host, module):
    assert host.launch(ctypes.c_void_p(0x1234), 5, 3, 64, 16) == 0
    launched = module.launched[0]
    assert (launched.kernel, launched.grid, launched.block) == ("_Z6kernelPfi3Odd", (3, 1, 1), (64, 1, 1))
    assert launched.dynamic_shared == 16
    assert struct.unpack("<Qi4xb7xd", launched.params) == (0x1234, 5, 7, 2.5)
    assert [report.kernel for report in runtime.launches] == ["_Z6kernelPfi3Odd"]


def test_cuda_launch_kernel_takes_a_host_function(runtime, host, module):
    assert host.launch_by_function(2) == 0
    assert struct.unpack("<Qi4xb7xd", module.launched[0].params) == (0, 3, 1, 4.0)


@pytest.mark.parametrize(
    ("shape", "code"), [((0, 32, 0), 9), ((1, 1025, 0), 9), ((1, 0, 0), 9), ((1, 32, 49_153), 1), ((1, 1024, 0), 0)]
)
def test_launches_that_a_card_refuses_give_its_code_once(runtime, host, module, shape, code):
    assert host.launch(None, 1, *shape) == code
    assert len(module.launched) == (code == 0)
    assert len(runtime.refusals) == (code != 0)
    assert host.launch(None, 1, 1, 32, 0) == 0, "a refusal is not sticky"


def test_more_shared_memory_must_be_asked_for_first(runtime, host):
    assert host.allow_shared(100_000) == 0
    assert host.launch(None, 1, 1, 32, 100_000) == 0
    assert host.launch(None, 1, 1, 32, 100_001) == 1
    assert host.allow_shared(232_449) == 1


def test_launch_bounds_and_registers_are_enforced(runtime, host, module):
    module.kernels["_Z6kernelPfi3Odd"] = FakeKernel(max_threads=128)
    assert host.launch(None, 1, 1, 256, 0) == 701


def test_a_fault_is_sticky_and_shows_in_every_later_call(runtime, host, standin, module):
    module.diagnostics = (fault(),)
    assert host.launch(None, 1, 1, 32, 0) == 700
    assert standin.cudaGetLastError() == 700
    assert standin.cudaDeviceSynchronize() == 700
    assert standin.cudaMalloc(ctypes.byref(ctypes.c_void_p()), ctypes.c_size_t(4)) == 700
    assert [one.line for one in runtime.diagnostics] == [7]
    runtime.reset()
    assert standin.cudaDeviceSynchronize() == 0
    assert not runtime.diagnostics


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (DiagnosticKind.MISALIGNED, 716),
        (DiagnosticKind.RUNAWAY, 702),
        (DiagnosticKind.TRAP, 719),
        (DiagnosticKind.ASSERTION, 710),
        (DiagnosticKind.DIVERGENT_BARRIER, 719),
    ],
)
def test_each_kind_of_fault_has_its_code(runtime, host, module, kind, code):
    module.diagnostics = (fault(kind),)
    assert host.launch(None, 1, 1, 32, 0) == code


def test_copies_move_bytes_and_are_held_to_their_allocation(runtime, standin):
    device = malloc(standin, 64)
    data = ctypes.create_string_buffer(bytes(range(64)), 64)
    back = ctypes.create_string_buffer(64)
    assert standin.cudaMemcpy(device, data, ctypes.c_size_t(64), 1) == 0
    assert standin.cudaMemcpy(back, device, ctypes.c_size_t(64), 2) == 0
    assert back.raw == data.raw
    assert standin.cudaMemcpy(device, data, ctypes.c_size_t(65), 1) == 1
    assert standin.cudaMemcpy(back, data, ctypes.c_size_t(64), 1) == 1
    assert standin.cudaMemcpy(device, data, ctypes.c_size_t(64), 9) == 21
    assert "65 bytes, but its allocation cudaMalloc has 64 left of 64" in runtime.refusals[0]


def test_two_dimensional_copies_respect_pitches(runtime, standin):
    device = malloc(standin, 24)
    data = ctypes.create_string_buffer(bytes(range(12)), 12)
    size = ctypes.c_size_t
    assert standin.cudaMemset(device, 0, size(24)) == 0
    assert standin.cudaMemcpy2D(device, size(8), data, size(4), size(4), size(3), 1) == 0
    assert ctypes.string_at(device.value, 24) == b"".join(bytes(range(4 * r, 4 * r + 4)) + bytes(4) for r in range(3))
    assert standin.cudaMemcpy2D(device, size(16), data, size(4), size(4), size(3), 1) == 1


def test_freeing_twice_or_a_foreign_pointer_is_refused(runtime, standin):
    device = malloc(standin, 16)
    assert standin.cudaFree(device) == 0
    assert standin.cudaFree(device) == 1
    assert standin.cudaFree(None) == 0
    assert standin.cudaMemset(device, 0, ctypes.c_size_t(4)) == 1


def test_memory_runs_out_like_on_a_card(runtime, standin):
    pointer = ctypes.c_void_p()
    assert standin.cudaMalloc(ctypes.byref(pointer), ctypes.c_size_t(1 << 21)) == 2
    assert pointer.value is None
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    malloc(standin, 1 << 19)
    assert standin.cudaMemGetInfo(ctypes.byref(free), ctypes.byref(total)) == 0
    assert (free.value, total.value) == (1 << 19, 1 << 20)


@pytest.mark.parametrize(("nbytes", "told"), [(1 << 21, True), (1 << 50, False)])
def test_memory_that_only_this_machine_lacks_is_named(runtime, standin, caplog, nbytes, told):
    assert standin.cudaMalloc(ctypes.byref(ctypes.c_void_p()), ctypes.c_size_t(nbytes)) == 2
    assert (f"cudaMalloc of {nbytes} bytes was refused, for which a real h100 has room" in caplog.text) is told


def test_symbols_are_found_and_bounded(runtime, host):
    assert host.to_symbol(42, 0) == 0
    assert host.from_symbol() == 42
    assert host.to_symbol(42, 2) == 1


def test_kernel_attributes_and_occupancy_come_from_the_machine_code(nvcc_library, runtime, host):
    out = (ctypes.c_int * 3)()
    assert host.attributes(out) == 0
    assert out[1] == 1024
    assert out[2] == 49_152
    # sm_80 code does not run on an H100, so its register count says nothing there.
    assert out[0] == 0
    assert host.occupancy(256) == 8
    assert host.potential_block() in {256, 512, 1024}


def test_events_measure_the_modelled_time_of_the_launches_between(runtime, host, module):
    milliseconds = ctypes.c_float()
    assert host.elapsed(ctypes.byref(milliseconds), 3) == 0
    assert milliseconds.value == pytest.approx(3 * device_spec("h100").launch_overhead_us / 1e3, rel=1e-4)
    module.counters = Counters(instructions={"fp32": 10**9})
    runtime.options = LaunchOptions(counters=True)
    assert host.elapsed(ctypes.byref(milliseconds), 2) == 0
    assert milliseconds.value == pytest.approx(
        sum(r.modelled.microseconds for r in runtime.launches[3:]) / 1e3, rel=1e-4
    )


def test_counting_starts_with_the_first_event_that_measures(runtime_that_counts_when_timed, host, module, standin):
    module.counters = Counters(instructions={"fp32": 10**6})
    milliseconds = ctypes.c_float()
    assert host.launch(None, 1, 1, 32, 0) == 0
    assert standin.cudaEventCreateWithFlags(ctypes.byref(ctypes.c_void_p()), 2) == 0
    assert host.launch(None, 1, 1, 32, 0) == 0
    assert host.elapsed(ctypes.byref(milliseconds), 1) == 0
    modelled = [report.modelled is not None for report in runtime_that_counts_when_timed.launches]
    assert modelled == [False, False, True]


def test_of_launches_that_repeat_each_other_few_are_counted(runtime_that_counts_when_timed, host, module):
    module.counters = Counters(instructions={"fp32": 10**6})
    milliseconds = ctypes.c_float()
    assert host.elapsed(ctypes.byref(milliseconds), 100) == 0
    counted = [report.modelled for report in runtime_that_counts_when_timed.launches if report.modelled is not None]
    assert len(counted) == 6
    assert milliseconds.value == pytest.approx(100 * counted[0].microseconds / 1e3, rel=1e-4)


def test_launches_whose_times_differ_are_all_counted():
    repeats = RepeatedLaunches()
    key, other = (LaunchKey(1, name, (1, 1, 1), (32, 1, 1), 0, b"") for name in ("kernel", "other"))
    for microseconds in (10.0, 11.0, 10.0, 10.5):
        assert repeats.expected(key) is None
        repeats.counted(key, microseconds)
    repeats.counted(key, 10.5)
    assert repeats.expected(other) is None
    assert repeats.expected(key) == 10.5
    assert repeats.expected(key) is None, "it is counted again from time to time"
    repeats.counted(key, 20.0)
    assert repeats.expected(key) is None


def test_register_counts_of_the_cards_own_code_are_known(host, module):
    memory = FakeMemory()
    running = StandInRuntime(device_spec("a100"), memory, LaunchOptions(), engine=FakeEngine(module, memory))
    running.install()
    out = (ctypes.c_int * 3)()
    assert host.attributes(out) == 0
    assert 8 <= out[0] <= 64
    running.close()


def test_the_device_is_the_specified_card(runtime, host):
    name = ctypes.create_string_buffer(256)
    assert host.property_name(name) == 0
    assert name.value == b"NVIDIA H100 SXM5 80GB"
    assert host.sms() == 132


def test_cooperative_launches_must_fit_and_clusters_are_missing(runtime, host, module):
    assert host.launch_extended(1, 1) == 0
    assert host.launch_extended(0, 2) == 801
    assert "thread block clusters is not implemented" in runtime.missing[0]


def test_an_absent_entry_point_fails_by_name(runtime, host):
    assert host.texture() == 801
    assert runtime.missing == ["cudaCreateTextureObject is not implemented by the simulated CUDA runtime"]


def test_an_error_of_the_simulator_itself_reaches_python(runtime, host, module, standin):
    module.kernels = None
    assert host.launch(None, 1, 1, 32, 0) == 999
    with pytest.raises(TypeError):
        runtime.raise_failure()
    runtime.raise_failure()


def test_without_a_runtime_every_call_refuses(runtime, standin):
    runtime.close()
    assert standin.cudaDeviceSynchronize() == 4


def test_compressed_device_code_is_refused_in_words(nvcc_library, runtime, standin):
    packed = ctypes.CDLL(str(nvcc_library(HOST.replace("extern", "/* packed */ extern"), compress=True)))
    assert packed.launch(None, 1, 1, 32, 0) == 200
    assert "build with nvcc --no-compress" in runtime.refusals[0]


def exports(library):
    table = subprocess.run(["readelf", "--dyn-syms", "-W", library], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in table.splitlines() if "@@libcudart.so.13" in line]
    return {row[7] for row in rows if row[3] == "FUNC" and row[6] != "UND"}


def real_cudart():
    return Path(sysconfig.get_path("purelib")) / "nvidia" / "cu13" / "lib" / "libcudart.so.13"


def test_the_stand_in_exports_what_the_real_library_does():
    ours = {name for name in exports(build_standin()) if "kernelwright" not in name}
    assert ours == exports(real_cudart())


def test_error_names_and_texts_are_the_real_ones(standin):
    real = ctypes.CDLL(str(real_cudart()))
    for library in (real, standin):
        for function in (library.cudaGetErrorName, library.cudaGetErrorString):
            function.restype = ctypes.c_char_p
    for code in range(1100):
        assert standin.cudaGetErrorName(code) == real.cudaGetErrorName(code)
        assert standin.cudaGetErrorString(code) == real.cudaGetErrorString(code)


def test_unsupported_device_code_is_missing_not_wrong(host):
    class Refusing(FakeEngine):
        def load(self, ptx):
            raise UnsupportedError(f"wgmma at PTX line {ptx.count('.entry')}")

    memory = FakeMemory()
    running = StandInRuntime(device_spec("h100"), memory, LaunchOptions(), engine=Refusing(FakeModule({}), memory))
    running.install()
    assert host.launch(None, 1, 1, 32, 0) == 801
    assert running.missing == ["wgmma at PTX line 2"]
    running.close()


def loaded_in_order(*statements):
    """Run statements in a process of their own, in which `real` and `ours` are the paths of the two runtimes."""
    imports = "import ctypes, pathlib, sys\nfrom simgpu.cudart.bridge import StandInLibrary, preload\n"
    script = "\n".join((imports, "real, ours = sys.argv[1], pathlib.Path(sys.argv[2])", *statements))
    command = [sys.executable, "-c", script, real_cudart(), build_standin()]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_real_runtime_loaded_first_is_noticed():
    done = loaded_in_order("ctypes.CDLL(real)", "StandInLibrary(ours)")
    assert "StandInShadowedError: another libcudart.so.13 is loaded in this process" in done.stderr


def test_a_real_runtime_loaded_after_the_stand_in_is_not_bound_to():
    # As a PyTorch with CUDA does: it loads NVIDIA's by its path, after we have preloaded ours.
    done = loaded_in_order("preload(ours)", "ctypes.CDLL(real, mode=ctypes.RTLD_GLOBAL)", "StandInLibrary(ours)")
    assert done.returncode == 0, done.stderr
