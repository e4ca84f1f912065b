"""The CUDA runtime of the simulated GPU: what host code sees when it calls libcudart.

Work runs when it is submitted. A fault shows, as on a card, in the calls after the launch, and stays (a sticky error);
a refusal is returned by the call itself. Everything that host code was told is also kept for whoever runs it: launches,
diagnostics, refusals, and what was missing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from simgpu import LaunchOptions
from simgpu.cost import model_launch
from simgpu.cudart.attributes import device_attributes
from simgpu.cudart.bridge import CopyKind, FunctionAttributes, LaunchRequest, StandInLibrary
from simgpu.cudart.engine import AllocationImage, CardMemory, DeviceVariable, Engine, Parameter
from simgpu.cudart.errors import CudaCode, CudaError, KernelFaultError, code_of, describe
from simgpu.cudart.images import Images, LoadedImage
from simgpu.cudart.launching import LaunchShape, check_launch, largest_dynamic_shared, pack_parameters
from simgpu.cudart.native_build import build_standin
from simgpu.cudart.registered import RegisteredMemory
from simgpu.cudart.repeats import LaunchKey, RepeatedLaunches
from simgpu.cudart.simulator import simulator_on
from simgpu.cudart.timeline import Timeline
from simgpu.errors import LaunchRefusedError, OutOfDeviceMemoryError, PtxSyntaxError, UnsupportedError
from simgpu.occupancy import occupancy
from simgpu.report import Diagnostic, LaunchReport, ModelledLaunch
from simgpu.specs import DeviceSpec

_LOG = logging.getLogger(__name__)
_MAX_DYNAMIC_SHARED = 8
"""`cudaFuncAttributeMaxDynamicSharedMemorySize`."""
_ADVISORY_ATTRIBUTES = frozenset({9})
"""`cudaFuncAttributePreferredSharedMemoryCarveout`: a hint."""


class StandInRuntime:
    """One simulated card behind the CUDA runtime's entry points.

    Only one runtime at a time answers in a process: the last one installed.

    Parameters
    ----------
    spec
        The card.
    memory
        Its memory. Pointers into it are plain addresses of this process.
    options
        How kernels are run; may be replaced between launches.
    engine
        What executes kernels; the simulator by default.
    count_when_timed
        Turn counters on, whatever `options` say, once the program has an event that measures time: counting slows a
        run, and only such a program sees modelled times. Of launches that repeat each other some are left out, which
        take as long as those before them.
    on_trouble
        Told at once of what the simulator lacks and of its own failures, which are logged otherwise: a program may
        never return to its caller.
    on_print
        Given what kernels printed, when the program synchronises or launches again; by default it is only kept in the
        launch reports. As on a card, what is still pending when the program ends is lost.
    on_launch
        Given the report of each launch when it has run.

    Attributes
    ----------
    launches
        Report of each launch that ran, with its modelled time when counters were on.
    diagnostics
        Every fault seen, in order.
    refusals
        Calls that were refused, in words.
    missing
        What the program asked for and the simulator lacks; not empty means that no verdict is possible.
    """

    def __init__(
        self,
        spec: DeviceSpec,
        memory: CardMemory,
        options: LaunchOptions,
        *,
        engine: Engine | None = None,
        count_when_timed: bool = False,
        on_trouble: Callable[[BaseException], None] | None = None,
        on_print: Callable[[str], None] | None = None,
        on_launch: Callable[[LaunchReport], None] | None = None,
    ) -> None:
        self.spec = spec
        self.options = options
        self.launches: list[LaunchReport] = []
        self.diagnostics: list[Diagnostic] = []
        self.refusals: list[str] = []
        self.missing: list[str] = []
        self._memory = memory
        major, minor = spec.compute_capability
        self._images = Images(engine or simulator_on(memory), major * 10 + minor)
        self._attributes = device_attributes(spec)
        self._timeline = Timeline()
        self._owned: dict[int, int] = {}
        self._dynamic_shared: dict[tuple[int, str], int] = {}
        self._failure: BaseException | None = None
        self._on_trouble = on_trouble
        self._on_print = on_print
        self._on_launch = on_launch
        self._printed = ""
        self._registered = RegisteredMemory(memory)
        self._count_when_timed = count_when_timed
        self._repeats = RepeatedLaunches()
        self._library: StandInLibrary | None = None

    # The caller's side.

    def install(self, library: Path | None = None) -> None:
        """Load the stand-in for every library loaded later, and answer its calls.

        Parameters
        ----------
        library
            The compiled stand-in; by default that of the user's cache folder, compiled if need be.

        Raises
        ------
        StandInBuildError
            It does not compile here.
        """
        self._library = StandInLibrary(library or build_standin())
        self._library.connect(self, self.spec.title, self._device_memory)

    def close(self) -> None:
        """Answer no more calls, and free what the program allocated."""
        if self._library is not None:
            self._library.disconnect()
        self.device_reset()

    def register_ptx_source(self, ptx: str) -> None:
        """Give the PTX for fat binaries that hold none."""
        self._images.use_ptx(ptx)

    def reset(self) -> None:
        """Forget launches, faults, refusals, times and the sticky error; allocations and loaded code stay."""
        for seen in (self.launches, self.diagnostics, self.refusals, self.missing):
            seen.clear()
        self._failure = None
        self._timeline.rewind()
        if self._library is not None:
            self._library.clear_errors()

    def raise_failure(self) -> None:
        """Raise the exception, if any, that a callback could not raise through C: an error of the simulator itself."""
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    # The program's side: `simgpu.cudart.bridge.Host`.

    @property
    def timeline(self) -> Timeline:
        """Streams and events."""
        return self._timeline

    @property
    def _device_memory(self) -> int:
        return min(self.spec.memory_bytes, self._memory.capacity)

    def allocate(self, nbytes: int, kind: str) -> int:
        """Return the address of new device memory."""
        try:
            address = self._memory.allocate(nbytes, kind)
        except OutOfDeviceMemoryError:
            if sum(self._owned.values()) + nbytes <= self.spec.memory_bytes:
                _LOG.warning(
                    "%s of %d bytes was refused, for which a real %s has room: on this machine it has %d bytes",
                    kind, nbytes, self.spec.name, self._memory.capacity,
                )  # fmt: skip
            raise
        self._owned[address] = nbytes
        return address

    def release(self, address: int) -> None:
        """Free what `allocate` gave, and nothing else."""
        if address not in self._owned:
            raise CudaError(CudaCode.INVALID_VALUE, f"{address:#x} was not allocated by this program, or is freed")
        del self._owned[address]
        self._memory.free(address)

    def check_range(self, address: int, nbytes: int, *, must_be_device: bool, what: str) -> None:
        """Refuse a range that leaves its allocation, or that is host memory where device memory is asked for."""
        allocation = self._memory.find(address)
        if allocation is None:
            if must_be_device:
                raise CudaError(CudaCode.INVALID_VALUE, f"{what}, {address:#x}, is not device memory")
            return
        left = allocation.address + allocation.size - address
        if allocation.freed or nbytes > left:
            state = "was freed" if allocation.freed else f"has {left} left of {allocation.size}"
            raise CudaError(
                CudaCode.INVALID_VALUE, f"{what}: {nbytes} bytes, but its allocation {allocation.label} {state}"
            )

    def find(self, address: int) -> AllocationImage:
        """Return the live allocation that an address lies in."""
        allocation = self._memory.find(address)
        if allocation is None or allocation.freed:
            raise CudaError(CudaCode.INVALID_VALUE, f"{address:#x} is not device memory")
        return allocation

    def free_memory(self) -> int:
        """Return the bytes left, as far as this program's allocations go."""
        return self._device_memory - sum(self._owned.values())

    def moved(self, nbytes: int, kind: int, stream: int) -> None:
        """Account for the modelled time of a copy or memset."""
        match kind:
            case CopyKind.FILL:
                gbps = self.spec.dram_gbps
            case CopyKind.DEVICE_TO_DEVICE:
                gbps = self.spec.dram_gbps / 2
            case _:
                gbps = self.spec.host_link_gbps
        self._timeline.run(stream, self.spec.launch_overhead_us + nbytes / gbps / 1e3)

    def synchronize(self) -> None:
        """Hand over what kernels printed since the last time, and note that the host has waited."""
        self._hand_over_printed()
        self._timeline.synchronize()

    def _hand_over_printed(self) -> None:
        if self._printed and self._on_print is not None:
            self._on_print(self._printed)
        self._printed = ""

    def register_host(self, address: int, nbytes: int) -> None:
        """Make host memory known to the card."""
        self._registered.add(address, nbytes)

    def unregister_host(self, address: int) -> None:
        """Forget what `register_host` was given."""
        self._registered.remove(address)

    def device_pointer(self, address: int) -> int:
        """Return where kernels find host memory: pinned memory at its own address, registered memory in a mirror."""
        mirror = self._registered.device_pointer(address)
        if mirror is None:
            self.find(address)
            return address
        return mirror

    def parameter(self, image: int, kernel: str, index: int) -> Parameter | None:
        """Return a kernel's parameter, None behind the last one."""
        parameters = self._images.load(image).kernel(kernel).params
        return parameters[index] if index < len(parameters) else None

    def launch(self, request: LaunchRequest) -> None:
        """Run a kernel, and raise the error that its first fault gives."""
        self._hand_over_printed()
        self._timeline.stream_flags(request.stream)
        loaded = self._images.load(request.image)
        kernel = loaded.kernel(request.kernel)
        shape = LaunchShape(request.grid, request.block, request.dynamic_shared, request.cooperative)
        limit = largest_dynamic_shared(self.spec, kernel, self._dynamic_shared.get((request.image, request.kernel)))
        room = check_launch(self.spec, kernel, loaded.resources_of(request.kernel), shape, limit)
        params = pack_parameters(kernel, request.arguments)
        key = LaunchKey(request.image, request.kernel, shape.grid, shape.block, shape.dynamic_shared, params)
        due = self._count_when_timed and self._timeline.timed and not self.options.counters
        expected = self._repeats.expected(key) if due else None
        counters = self.options.counters or (due and expected is None)
        self._registered.to_device()
        report = loaded.module.launch(
            request.kernel,
            grid=request.grid,
            block=request.block,
            params=params,
            dynamic_shared=request.dynamic_shared,
            options=replace(self.options, resident_blocks=room, counters=counters),
        )
        self._registered.to_host()
        self._printed += report.printed
        modelled = self._model(loaded, report)
        report = replace(report, modelled=modelled)
        self.launches.append(report)
        if self._on_launch is not None:
            self._on_launch(report)
        if modelled is not None:
            expected = modelled.microseconds
            if due:
                self._repeats.counted(key, expected)
        self._timeline.run(request.stream, self.spec.launch_overhead_us if expected is None else expected)
        self._raise_fault(report)

    def symbol(self, image: int, name: str) -> DeviceVariable:
        """Return a device variable by its mangled name."""
        return self._images.load(image).variable(name)

    def function_attributes(self, image: int, kernel: str) -> FunctionAttributes:
        """Return a kernel's attributes."""
        loaded = self._images.load(image)
        declared, resources = loaded.kernel(kernel), loaded.resources_of(kernel)
        major, minor = self.spec.compute_capability
        return FunctionAttributes(
            shared=declared.static_shared,
            constant=0,
            local=resources.stack_bytes,
            max_threads=declared.max_threads or self.spec.max_threads_per_block,
            registers=resources.registers,
            ptx_version=major * 10 + minor,
            binary_version=major * 10 + minor,
            max_dynamic_shared=largest_dynamic_shared(self.spec, declared, self._dynamic_shared.get((image, kernel))),
        )

    def set_function_attribute(self, image: int, kernel: str, attribute: int, value: int) -> None:
        """Set a kernel's largest dynamic shared memory; other attributes are hints, or missing."""
        declared = self._images.load(image).kernel(kernel)
        if attribute == _MAX_DYNAMIC_SHARED:
            most = self.spec.shared_per_block_optin - declared.static_shared
            if not 0 <= value <= most:
                raise CudaError(CudaCode.INVALID_VALUE, f"{value} bytes of dynamic shared memory, the card has {most}")
            self._dynamic_shared[image, kernel] = value
        elif attribute not in _ADVISORY_ATTRIBUTES:
            self.unsupported(f"cudaFuncSetAttribute with attribute {attribute}")

    def occupancy(self, image: int, kernel: str, threads: int, dynamic_shared: int) -> int:
        """Return the blocks of a kernel that an SM holds."""
        loaded = self._images.load(image)
        shared = loaded.kernel(kernel).static_shared + dynamic_shared
        return occupancy(self.spec, threads, loaded.resources_of(kernel).registers, shared).blocks_per_sm

    def device_attribute(self, attribute: int) -> int:
        """Return a device attribute."""
        try:
            return self._attributes[attribute]
        except KeyError:
            raise CudaError(CudaCode.INVALID_VALUE, f"device attribute {attribute} is not known here") from None

    def device_reset(self) -> None:
        """Free everything that the program allocated."""
        for address in self._owned:
            self._memory.free(address)
        self._owned.clear()
        self._registered.clear()

    def unsupported(self, what: str) -> None:
        """Note something that the stand-in lacks, and refuse."""
        raise UnsupportedError(f"{what} is not implemented by the simulated CUDA runtime")

    def failed(self, error: BaseException) -> int:
        """Keep an exception that a callback raised, and return the code that the program gets."""
        match error:
            case KernelFaultError():
                return error.code
            case CudaError():
                self.refusals.append(str(error))
                _LOG.info("refused: %s", error)
                return error.code
            case LaunchRefusedError():
                self.refusals.append(str(error))
                return code_of(error.code)
            case OutOfDeviceMemoryError():
                self.refusals.append(str(error))
                return CudaCode.MEMORY_ALLOCATION
        if self._on_trouble is not None:
            self._on_trouble(error)
        else:
            _LOG.error("%s", error if str(error) else repr(error))
        if isinstance(error, UnsupportedError | PtxSyntaxError):
            self.missing.append(str(error))
            return CudaCode.NOT_SUPPORTED
        self._failure = self._failure or error
        return CudaCode.UNKNOWN

    def _model(self, loaded: LoadedImage, report: LaunchReport) -> ModelledLaunch | None:
        if report.counters is None or report.diagnostics:
            return None
        return model_launch(
            self.spec,
            report.counters,
            report.grid,
            report.block,
            loaded.resources_of(report.kernel).registers,
            loaded.kernel(report.kernel).static_shared,
            report.dynamic_shared,
        )

    def _raise_fault(self, report: LaunchReport) -> None:
        self.diagnostics.extend(report.diagnostics)
        for diagnostic in report.diagnostics:
            _LOG.error("%s", describe(diagnostic))
        if report.diagnostics:
            raise KernelFaultError(report.diagnostics[0])
