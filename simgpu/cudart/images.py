"""Device code of the loaded host libraries, put onto the simulated card when it is first used."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass

from simgpu.cudart.cubin import KernelResources, kernel_resources
from simgpu.cudart.engine import DeviceVariable, Engine, KernelImage, ModuleImage
from simgpu.cudart.errors import CudaCode, CudaError
from simgpu.cudart.fatbin import read_registered, select_cubin, select_ptx

_NO_RESOURCES = KernelResources(registers=0)


@dataclass(frozen=True, slots=True)
class LoadedImage:
    """One fat binary on the card."""

    module: ModuleImage
    resources: Mapping[str, KernelResources]

    def kernel(self, name: str) -> KernelImage:
        """Return a kernel, or raise `CudaError`."""
        try:
            return self.module.kernels[name]
        except KeyError:
            raise CudaError(CudaCode.INVALID_DEVICE_FUNCTION, f"no kernel {name} in the device code") from None

    def variable(self, name: str) -> DeviceVariable:
        """Return a device variable, or raise `CudaError`."""
        try:
            return self.module.variables[name]
        except KeyError:
            raise CudaError(CudaCode.INVALID_SYMBOL, f"no variable {name} in the device code") from None

    def resources_of(self, name: str) -> KernelResources:
        """Return what ptxas gave a kernel; no registers when the fat binary has no machine code for the card."""
        return self.resources.get(name, _NO_RESOURCES)


class Images:
    """Loads each registered fat binary once.

    Parameters
    ----------
    engine
        Loads the PTX.
    capability
        The card's compute capability times ten, for instance 90.
    """

    def __init__(self, engine: Engine, capability: int) -> None:
        self._engine = engine
        self._capability = capability
        self._loaded: dict[int, LoadedImage] = {}
        self._spare_ptx: str | None = None

    def use_ptx(self, ptx: str) -> None:
        """Give the PTX for fat binaries that hold none."""
        self._spare_ptx = ptx

    def load(self, image: int) -> LoadedImage:
        """Return a fat binary's code on the card.

        Parameters
        ----------
        image
            Address of the pointer to its wrapper, as the stand-in registered it.

        Raises
        ------
        CudaError
            It holds no PTX that the card runs.
        SimgpuError
            The PTX is wrong, or uses what the simulator lacks.
        """
        if image not in self._loaded:
            self._loaded[image] = self._load(ctypes.c_uint64.from_address(image).value)
        return self._loaded[image]

    def _load(self, wrapper: int) -> LoadedImage:
        if not wrapper:
            raise CudaError(CudaCode.INVALID_KERNEL_IMAGE, "the library of this kernel was unloaded")
        entries = read_registered(wrapper)
        ptx = select_ptx(entries, self._capability) or self._spare_ptx
        if ptx is None:
            found = ", ".join(f"{entry.arch}" for entry in entries) or "nothing"
            raise CudaError(
                CudaCode.NO_KERNEL_IMAGE_FOR_DEVICE,
                f"no PTX for compute capability {self._capability} in the fat binary (it has code for {found})",
            )
        cubin = select_cubin(entries, self._capability)
        return LoadedImage(self._engine.load(ptx), kernel_resources(cubin) if cubin else {})
