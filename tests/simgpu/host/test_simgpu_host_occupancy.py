"""Occupancy, against NVIDIA's own calculator compiled from the toolkit's header."""

import ctypes
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simgpu.cudart.native_build import cuda_include
from simgpu.occupancy import OccupancyLimit, occupancy
from simgpu.specs import device_spec, known_devices

ORACLE = r"""
#include <cuda_occupancy.h>

extern "C" int blocks_per_sm(const int* card, int threads, int registers, int shared) {
  cudaOccDeviceProp device;
  device.computeMajor = card[0]; device.computeMinor = card[1];
  device.maxThreadsPerBlock = card[2]; device.maxThreadsPerMultiprocessor = card[3];
  device.regsPerBlock = card[4]; device.regsPerMultiprocessor = card[4]; device.warpSize = 32;
  device.sharedMemPerBlock = card[5]; device.sharedMemPerMultiprocessor = card[6];
  device.numSms = card[7]; device.sharedMemPerBlockOptin = card[8]; device.reservedSharedMemPerBlock = card[9];
  cudaOccFuncAttributes kernel;
  kernel.maxThreadsPerBlock = card[2]; kernel.numRegs = registers; kernel.sharedSizeBytes = 0;
  kernel.partitionedGCConfig = PARTITIONED_GC_OFF;
  kernel.shmemLimitConfig = FUNC_SHMEM_LIMIT_OPTIN; kernel.maxDynamicSharedSizeBytes = shared;
  kernel.numBlockBarriers = 1;
  cudaOccDeviceState state;
  cudaOccResult result;
  const int status = cudaOccMaxActiveBlocksPerMultiprocessor(&result, &device, &kernel, &state, threads, shared);
  return status == CUDA_OCC_SUCCESS ? result.activeBlocksPerMultiprocessor : -status;
}
"""


@pytest.fixture(scope="module")
def calculator(tmp_path_factory):
    folder = tmp_path_factory.mktemp("oracle")
    (folder / "oracle.cpp").write_text(ORACLE)
    library = folder / "oracle.so"
    command = ["g++", "-shared", "-fPIC", f"-I{cuda_include()}", str(folder / "oracle.cpp"), "-o", str(library)]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(library))


def card(spec):
    values = (
        *spec.compute_capability, spec.max_threads_per_block, spec.max_threads_per_sm, spec.registers_per_sm,
        spec.shared_per_block, spec.shared_per_sm, spec.sms, spec.shared_per_block_optin, spec.shared_reserved,
    )  # fmt: skip
    return (ctypes.c_int * len(values))(*values)


@pytest.mark.parametrize("name", known_devices())
@settings(deadline=None, max_examples=400)
@given(data=st.data())
def test_blocks_per_sm_agree_with_nvidias_calculator(calculator, name, data):
    spec = device_spec(name)
    threads = data.draw(st.integers(1, 1024))
    registers = data.draw(st.integers(1, 255))
    shared = data.draw(st.one_of(st.just(0), st.integers(0, spec.shared_per_block_optin)))
    ours = occupancy(spec, threads, registers, shared)
    assert ours.blocks_per_sm == calculator.blocks_per_sm(card(spec), threads, registers, shared)
    assert ours.fraction == ours.warps_per_sm / spec.max_warps_per_sm <= 1


@pytest.mark.parametrize(
    ("threads", "registers", "shared", "blocks", "limit"),
    [
        (256, 32, 0, 8, OccupancyLimit.WARPS),
        (32, 16, 0, 32, OccupancyLimit.BLOCKS),
        (256, 255, 0, 1, OccupancyLimit.REGISTERS),
        (128, 32, 100_000, 2, OccupancyLimit.SHARED),
        (1024, 80, 0, 0, OccupancyLimit.REGISTERS),
    ],
)
def test_the_limit_is_named(threads, registers, shared, blocks, limit):
    found = occupancy(device_spec("h100"), threads, registers, shared)
    assert (found.blocks_per_sm, found.limit) == (blocks, limit)


def test_unknown_registers_limit_nothing():
    assert occupancy(device_spec("a100"), 1024, 0, 0).blocks_per_sm == 2
