import pytest

from sandbox.cards import CardFacts, card_figures, figures_of
from sandbox.devices import parse_device
from sandbox.values import Device, DeviceKind
from simgpu.specs import device_spec
from tasks.errors import UserError

H100 = CardFacts(
    sms=132, clock_khz=1_980_000, memory_khz=2_619_000, bus_bits=5120, l2_bytes=52_428_800, memory_bytes=85_520_809_984
)


def gpu(model: str, arch: str) -> Device:
    return Device(kind=DeviceKind.CUDA, model=model, index=1, arch=arch)


def test_a_simulated_cards_figures_are_those_of_the_tables():
    assert card_figures(parse_device("sim:a100")) is device_spec("a100")


def test_what_an_h100s_driver_says_gives_the_figures_of_its_data_sheet():
    found, sheet = figures_of(gpu("NVIDIA H100 80GB HBM3", "sm_90"), H100), device_spec("h100")
    assert found.name == "cuda:1"
    assert found.title == "NVIDIA H100 80GB HBM3"
    assert (found.sms, found.boost_mhz, found.memory_mhz) == (sheet.sms, sheet.boost_mhz, sheet.memory_mhz)
    assert found.dram_gbps == pytest.approx(sheet.dram_gbps, rel=0.002)
    assert found.tensor_fp16_tflops == pytest.approx(sheet.tensor_fp16_tflops)


def test_a_card_that_no_table_has_takes_the_rates_of_its_generation():
    half = CardFacts(
        sms=66, clock_khz=990_000, memory_khz=3_201_000, bus_bits=6016, l2_bytes=62_914_560, memory_bytes=1 << 37
    )
    found, like = figures_of(gpu("NVIDIA H200", "sm_90"), half), device_spec("h100")
    assert found.dram_gbps == pytest.approx(4800, rel=0.005)
    assert found.l2_bytes == 62_914_560
    assert found.fp32_per_clock == like.fp32_per_clock
    assert found.tensor_tf32_tflops == pytest.approx(like.tensor_tf32_tflops / 4)


def test_the_nearest_card_of_a_generation_lends_its_rates():
    assert figures_of(gpu("NVIDIA RTX A4000", "sm_86"), H100).shared_per_sm == device_spec("l4").shared_per_sm


def test_a_generation_without_rates_is_named():
    with pytest.raises(UserError, match=r"NVIDIA B200 \(sm_100\).*devices.toml"):
        figures_of(gpu("NVIDIA B200", "sm_100"), H100)
