"""The figures of a device: a simulated card's from the tables; a real one's from its driver, with the tables' rates."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.values import Device, DeviceKind
from simgpu.specs import DeviceSpec, device_spec, known_devices
from tasks.errors import InfraError, UserError


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What a driver says of a card (CUDA Driver API, `cuDeviceGetAttribute`)."""

    sms: int
    """Streaming multiprocessors."""
    clock_khz: int
    """Highest SM clock."""
    memory_khz: int
    """Highest memory clock; data moves at both of its edges."""
    bus_bits: int
    """Width of the memory bus."""
    l2_bytes: int
    """Size of the L2 cache."""
    memory_bytes: int
    """Device memory."""


def card_figures(device: Device) -> DeviceSpec:
    """Return a device's figures; a real GPU's driver is asked.

    Raises
    ------
    UserError
        It is a GPU of a generation of which no card is in the tables.
    InfraError
        Its driver does not answer.
    """
    if device.kind is DeviceKind.SIM:
        return device_spec(device.model)
    return figures_of(device, ask_driver(device.index))


def figures_of(device: Device, facts: CardFacts) -> DeviceSpec:
    """Return the figures of a card of which the driver says `facts`.

    Rates per SM and clock are those of the tables' card of the same architecture, or of the nearest one of the same
    generation; tensor-core rates go with the number of SMs and the clock.

    Raises
    ------
    UserError
        There is no such card in the tables.
    """
    like = _nearest(device)
    scale = facts.sms * facts.clock_khz / (like.sms * like.boost_mhz * 1e3)
    changed: dict[str, object] = {
        "name": device.name,
        "title": device.model,
        "arch": device.arch,
        "sms": facts.sms,
        "boost_mhz": round(facts.clock_khz / 1e3),
        "memory_bytes": facts.memory_bytes,
        "memory_mhz": round(facts.memory_khz / 1e3),
        "memory_bus_bits": facts.bus_bits,
        "dram_gbps": 2 * facts.memory_khz * facts.bus_bits / 8 / 1e6,
        "l2_bytes": facts.l2_bytes,
        "tensor_fp16_tflops": like.tensor_fp16_tflops * scale,
        "tensor_tf32_tflops": like.tensor_tf32_tflops * scale,
        "tensor_fp64_tflops": like.tensor_fp64_tflops * scale,
        "sources": ("the driver's attributes of this card", f"rates per SM and clock: {like.title}"),
    }
    return DeviceSpec.model_validate({**like.model_dump(), **changed})


def ask_driver(index: int) -> CardFacts:
    """Ask the CUDA driver about a GPU; no context is made.

    Raises
    ------
    InfraError
        It does not answer.
    """
    from cuda.bindings import driver  # noqa: PLC0415 -- loads the driver's library, which most machines lack

    def checked(result: tuple[object, ...]) -> object:
        code, *values = result
        if code != driver.CUresult.CUDA_SUCCESS:
            raise InfraError(f"the CUDA driver does not tell about GPU {index} ({code}); look at nvidia-smi and dmesg")
        return values[0] if values else None

    checked(driver.cuInit(0))
    card = checked(driver.cuDeviceGet(index))
    names = driver.CUdevice_attribute

    def attribute(name: object) -> int:
        return int(str(checked(driver.cuDeviceGetAttribute(name, card))))

    return CardFacts(
        sms=attribute(names.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT),
        clock_khz=attribute(names.CU_DEVICE_ATTRIBUTE_CLOCK_RATE),
        memory_khz=attribute(names.CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE),
        bus_bits=attribute(names.CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH),
        l2_bytes=attribute(names.CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE),
        memory_bytes=int(str(checked(driver.cuDeviceTotalMem(card)))),
    )


def _nearest(device: Device) -> DeviceSpec:
    number = int(device.arch.removeprefix("sm_"))
    specs = [device_spec(name) for name in known_devices()]
    same = [spec for spec in specs if spec.compute_capability[0] == number // 10]
    if not same:
        raise UserError(
            f"{device.model} ({device.arch}) is of a generation of which no card is in simgpu/devices.toml, so its "
            "rates are not known; add one there"
        )
    return min(same, key=lambda spec: abs(int(spec.arch.removeprefix("sm_")) - number))
