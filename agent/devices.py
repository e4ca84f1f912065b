"""The published figures of the card that a run is for, where they are known."""

from __future__ import annotations

from sandbox.devices import parse_device
from simgpu.specs import DeviceSpec, device_spec, known_devices


def device_figures(device: str) -> DeviceSpec | None:
    """Return the figures of a device, None for a card that is not in the tables.

    Parameters
    ----------
    device
        `sim:h100`, or `cuda:0`, which is looked up by the name that its driver gives it.
    """
    model = parse_device(device).model.lower().replace(" ", "")
    return next((device_spec(name) for name in known_devices() if name in model), None)
