from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.devices import Gpu, find_gpus, parse_device, parse_gpus
from sandbox.values import Basis, DeviceKind
from simgpu.specs import known_devices
from tasks.errors import UserError


@pytest.mark.parametrize("card", known_devices())
def test_every_simulated_card_has_a_name_that_reads_back(card):
    device = parse_device(f"sim:{card}")
    assert device.name == f"sim:{card}"
    assert device.basis is Basis.MODELLED
    assert parse_device(device.name) == device


def test_auto_takes_the_first_gpu_or_the_simulated_h100():
    device = parse_device("auto")
    if find_gpus():
        assert device.kind is DeviceKind.CUDA
    else:
        assert (device.name, device.arch) == ("sim:h100", "sm_90")


@pytest.mark.parametrize("name", ["", "sim:", "sim:voodoo2", "cuda:x", "gpu", "cuda:99"])
def test_an_unknown_device_names_the_known_ones(name):
    with pytest.raises(UserError, match=r"sim:h100|cuda:0"):
        parse_device(name)


def test_the_drivers_answer_is_read():
    text = "0, NVIDIA H100 80GB HBM3, 9.0, 580.65.06\n1, NVIDIA GeForce RTX 4090, 8.9, 580.65.06\n[Not Supported]\n"
    assert parse_gpus(text) == (
        Gpu(index=0, name="NVIDIA H100 80GB HBM3", arch="sm_90", driver="580.65.06"),
        Gpu(index=1, name="NVIDIA GeForce RTX 4090", arch="sm_89", driver="580.65.06"),
    )


@given(st.text())
def test_no_answer_breaks_the_reader(text):
    parse_gpus(text)
