"""The figures of the card that a run is for, where they are known."""

from __future__ import annotations

from sandbox.cards import card_figures
from sandbox.devices import parse_device
from simgpu.specs import DeviceSpec
from tasks.errors import UserError


def device_figures(device: str) -> DeviceSpec | None:
    """Return the figures of a device, None for a card of a generation that is not in the tables.

    Parameters
    ----------
    device
        `sim:h100`, or `cuda:0`, of which the driver is asked.
    """
    found = parse_device(device)
    try:
        return card_figures(found)
    except UserError:
        return None
