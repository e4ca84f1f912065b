"""The card figures: plausible against the published peaks, and unchanged unless meant."""

import hashlib
import json

import pytest

from simgpu.specs import UnknownDeviceError, device_spec, known_devices

# Published single-precision peaks (TFLOPS) and DRAM bandwidths of the data sheets named in devices.toml.
PUBLISHED = {
    "h100": (66.9, 3350),
    "h200": (66.9, 4800),
    "a100": (19.5, 2039),
    "l4": (30.3, 300),
    "rtx4090": (82.6, 1008),
}
SNAPSHOT = "9f15a66b4d5b25b7"


def test_the_known_cards_are_the_documented_ones():
    assert known_devices() == ("h100", "h200", "a100", "l4", "rtx4090")


@pytest.mark.parametrize("name", known_devices())
def test_rates_and_clocks_give_the_published_peaks(name):
    spec = device_spec(name)
    tflops, gbps = PUBLISHED[name]
    assert 2 * spec.fp32_per_clock * spec.sms * spec.clock_hz / 1e12 == pytest.approx(tflops, rel=0.01)
    assert spec.dram_gbps == gbps
    assert 2 * spec.memory_mhz * 1e6 * spec.memory_bus_bits / 8 / 1e9 == pytest.approx(gbps, rel=0.01)
    assert spec.l2_gbps > spec.dram_gbps
    assert spec.sources


def test_a_change_of_the_figures_is_noticed():
    figures = [device_spec(name).model_dump(mode="json") for name in known_devices()]
    digest = hashlib.sha256(json.dumps(figures, sort_keys=True).encode()).hexdigest()[:16]
    assert digest == SNAPSHOT, "devices.toml changed: if that is meant, raise COST_MODEL_VERSION and update SNAPSHOT"


def test_compute_capability_comes_from_the_architecture():
    assert device_spec("rtx4090").compute_capability == (8, 9)


def test_an_unknown_card_names_the_known_ones():
    with pytest.raises(UnknownDeviceError, match="unknown card 'b200'; known are h100, h200, a100, l4, rtx4090"):
        device_spec("b200")
