"""Turn LLVM text into machine code, and keep the runtime's own code loaded."""

from __future__ import annotations

import platform
import threading
from functools import lru_cache
from importlib.resources import files
from string import Template

import llvmlite
from llvmlite import binding as llvm

from simgpu.errors import SimgpuError, UnsupportedError
from simgpu.objects import ObjectCache, content_key, default_cache
from simgpu.runtime import state

_LOCK = threading.RLock()
_RUNTIME_SYMBOLS = (
    "sgpu_switch", "sgpu_run", "sgpu_fiber", "sgpu_barrier", "sgpu_fuel", "sgpu_spin", "sgpu_fault", "sgpu_resolve",
    "sgpu_resolve_lane", "sgpu_count_global", "sgpu_count_shared", "sgpu_count_atomic", "sgpu_count_local",
    "sgpu_count_branch", "sgpu_permute", "sgpu_match", "sgpu_print",
    "sgpu_shadow_shared", "sgpu_shadow_generic", "sgpu_blame_write", "sgpu_unwritten", "sgpu_order",
    "sgpu_use_unwritten", "sgpu_store_unwritten", "sgpu_unwritten_rows", "sgpu_unwritten_columns",
    "sgpu_copy_begin", "sgpu_copy_commit", "sgpu_copy_wait",
    "sgpu_watch_run", "sgpu_watch_global", "sgpu_tag_run", "sgpu_tag_global", "sgpu_doubt", "sgpu_see", "sgpu_publish",
    *(f"sgpu_{kind}_{element}" for kind in ("gather", "scatter") for element in ("i8", "i16", "i32", "i64")),
)  # fmt: skip
ATTRIBUTES = '"prefer-vector-width"="512" "no-trapping-math"="true" "probe-stack"="inline-asm" nounwind'


class MachineCode:
    """One compiled module; the code lives as long as this object. Code compiled before comes from the cache."""

    def __init__(self, text: str, *, speed: int, cache: ObjectCache | None = None) -> None:
        kept = cache or default_cache()
        with _LOCK:
            machine = _target_machine()
            key = content_key(text, str(speed), _recipe())
            code = kept.load(key)
            if code is None:
                code = _compiled(text, machine, speed)
                kept.store(key, code)
            self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
            self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
            self._engine.finalize_object()

    def address(self, name: str) -> int:
        """Return the address of a function."""
        return int(self._engine.get_function_address(name))


def _compiled(text: str, machine: llvm.TargetMachine, speed: int) -> bytes:
    module = _parsed(text)
    module.triple = machine.triple
    module.data_layout = str(machine.target_data)
    _optimise(module, machine, speed)
    return bytes(machine.emit_object(module))


@lru_cache(maxsize=1)
def _recipe() -> str:
    """Return what machine code depends on besides its LLVM text: this file, LLVM and the processor."""
    version = (llvmlite.__version__, llvm.llvm_version_info, llvm.get_process_triple(), llvm.get_host_cpu_name())
    source = files("simgpu.runtime").joinpath("engine.py").read_text(encoding="utf-8")
    return repr((version, llvm.get_host_cpu_features().flatten(), source))


def _parsed(text: str) -> llvm.ModuleRef:
    try:
        module = llvm.parse_assembly(text)
        module.verify()
    except RuntimeError as error:
        raise SimgpuError(f"simgpu generated code that LLVM refuses: {error}") from error
    return module


def _optimise(module: llvm.ModuleRef, machine: llvm.TargetMachine, speed: int) -> None:
    options = llvm.create_pipeline_tuning_options(speed_level=speed)
    options.loop_vectorization = False
    options.slp_vectorization = False
    options.loop_unrolling = False
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)


@lru_cache(maxsize=1)
def _initialise() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.initialize_native_asmparser()


def _target_machine() -> llvm.TargetMachine:
    """Return a machine for the host, new for each module: an engine owns its own."""
    _initialise()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    return target.create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=1,
        reloc="pic",
        codemodel="jitdefault",
        jit=True,
    )


@lru_cache(maxsize=1)
def load_runtime() -> MachineCode:
    """Compile the runtime once per process and make its functions known to later modules.

    Raises
    ------
    UnsupportedError
        On a processor for which there is no context switch.
    """
    folder = files("simgpu.runtime")
    context = folder / f"context_{platform.machine()}.ll"
    if not context.is_file():
        raise UnsupportedError(f"simgpu runs on x86_64 and aarch64, not on {platform.machine()}")
    names = state.placeholders()
    lanes = ", ".join(f"i64 {lane}" for lane in range(32))
    names["lanes64"] = f"<{lanes}>"
    parts = [context.read_text()]
    parts += [
        Template((folder / f"{name}.ll").read_text()).substitute(names)
        for name in (
            "scheduler",
            "waiting",
            "barriers",
            "shared_shadow",
            "reserved",
            "copies",
            "stamps",
            "written_pages",
            "global_shadow",
            "global_stamps",
            "unwritten",
            "access",
            "counting",
            "printing",
        )
    ]
    vector_template = Template((folder / "shared_vectors.ll").read_text())
    parts += [
        vector_template.substitute(names, T=f"i{bits}", K=bits // 16, L=2 * bits, H=bits // 2) for bits in (32, 64)
    ]
    lane_template = Template((folder / "lanes.ll").read_text())
    parts += [lane_template.substitute(T=element, B=int(element[1:]) // 8) for element in ("i8", "i16", "i32", "i64")]
    with _LOCK:
        code = MachineCode("\n".join(parts), speed=2)
        for name in _RUNTIME_SYMBOLS:
            llvm.add_symbol(name, code.address(name))
    return code
