"""Fat binaries and cubins, from nvcc's own output and from damaged bytes."""

import ctypes
import struct
import subprocess
import sysconfig
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simgpu.cudart.cubin import kernel_resources
from simgpu.cudart.errors import CudaCode, CudaError
from simgpu.cudart.fatbin import EntryKind, parse_container, read_registered, select_cubin, select_ptx

NVCC = Path(sysconfig.get_path("purelib")) / "nvidia" / "cu13" / "bin" / "nvcc"
SOURCE = """
extern "C" __global__ void small(int* out) { out[threadIdx.x] = 1; }
extern "C" __global__ void large(float* out, const float* in) {
  float many[48];
  for (int i = 0; i < 48; ++i) many[i] = in[i * 32 + threadIdx.x];
  float sum = 0;
  for (int i = 0; i < 48; ++i) for (int j = 0; j < i; ++j) sum += many[i] * many[j];
  out[threadIdx.x] = sum;
}
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("device") / "device.cu"
    path.write_text(SOURCE)
    return path


@pytest.fixture(scope="module")
def container(source):
    fatbin = source.with_suffix(".fatbin")
    targets = [f"-gencode=arch=compute_{n},code=[sm_{n},compute_{n}]" for n in (80, 90)]
    subprocess.run([NVCC, "-fatbin", "-no-compress", *targets, "-o", fatbin, source], check=True)
    return fatbin.read_bytes()


def test_entries_are_told_apart(container):
    entries = parse_container(container)
    assert {(entry.kind, entry.arch) for entry in entries} == {
        (kind, arch) for kind in (EntryKind.PTX, EntryKind.CUBIN) for arch in (80, 90)
    }


@pytest.mark.parametrize(("capability", "target"), [(80, "sm_80"), (89, "sm_80"), (90, "sm_90"), (100, "sm_90")])
def test_the_newest_ptx_that_the_card_runs_is_taken(container, capability, target):
    assert f".target {target}" in select_ptx(parse_container(container), capability)


def test_a_card_too_old_gets_no_ptx(container):
    assert select_ptx(parse_container(container), 75) is None


@pytest.mark.parametrize(("capability", "found"), [(80, True), (89, True), (90, True), (100, False), (75, False)])
def test_machine_code_runs_on_its_own_major_capability(container, capability, found):
    assert (select_cubin(parse_container(container), capability) is not None) == found


def test_registers_are_those_that_ptxas_reports(container, source):
    command = [NVCC, "-cubin", "-arch=sm_80", "-Xptxas", "-v", "-o", source.with_suffix(".cubin"), source]
    log = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    resources = kernel_resources(select_cubin(parse_container(container), 80))
    assert set(resources) == {"small", "large"}
    for name, kernel in resources.items():
        assert f"Used {kernel.registers} registers" in log.split(f"'{name}'")[1].split("Compiling")[0]
    assert resources["large"].registers > resources["small"].registers


def test_a_registered_wrapper_is_read_from_memory(container):
    kept = ctypes.create_string_buffer(container, len(container))
    wrapper = ctypes.create_string_buffer(struct.pack("<IIQQ", 0x466243B1, 1, ctypes.addressof(kept), 0))
    assert read_registered(ctypes.addressof(wrapper)) == parse_container(container)
    wrong = ctypes.create_string_buffer(24)
    with pytest.raises(CudaError, match="not a fat binary wrapper"):
        read_registered(ctypes.addressof(wrong))


def test_compressed_ptx_is_refused_in_words(source):
    fatbin = source.with_suffix(".packed")
    subprocess.run([NVCC, "-fatbin", "--compress-mode=size", "-arch=sm_80", "-o", fatbin, source], check=True)
    with pytest.raises(CudaError, match="compressed; build with nvcc --no-compress") as caught:
        select_ptx(parse_container(fatbin.read_bytes()), 80)
    assert caught.value.code == CudaCode.INVALID_KERNEL_IMAGE


@given(st.binary(max_size=200))
def test_any_bytes_are_a_container_or_refused(data):
    with pytest.raises(CudaError):
        parse_container(data)


@given(data=st.data())
def test_a_cut_container_is_refused(container, data):
    length = data.draw(st.integers(0, len(container) - 1))
    with pytest.raises(CudaError):
        parse_container(container[:length])


@given(data=st.data())
def test_a_damaged_cubin_gives_resources_or_a_value_error(container, data):
    cubin = bytearray(select_cubin(parse_container(container), 80))
    for _ in range(data.draw(st.integers(1, 8))):
        cubin[data.draw(st.integers(0, len(cubin) - 1))] = data.draw(st.integers(0, 255))
    length = data.draw(st.integers(0, len(cubin)))
    try:
        kernel_resources(bytes(cubin[:length]))
    except ValueError:
        return
