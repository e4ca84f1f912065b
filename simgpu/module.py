"""Loaded PTX modules: kernels, global variables, and machine code compiled when it is first needed."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from weakref import WeakKeyDictionary

from simgpu.codegen.callgraph import function_addresses
from simgpu.codegen.function import FunctionCode, llvm_name, suspends
from simgpu.codegen.program import Program, Variant, plan_program
from simgpu.memory import DeviceMemory
from simgpu.objects import ObjectCache
from simgpu.ptx.parser import parse_module
from simgpu.ptx.syntax import Function, ModuleSyntax, Space, Variable
from simgpu.runtime.engine import ATTRIBUTES, MachineCode, load_runtime

_ANY_BLOCK = (1, 1, 1)


@dataclass(frozen=True, slots=True)
class Param:
    """One kernel parameter's place in the parameter buffer."""

    name: str
    offset: int
    size: int
    align: int


@dataclass(frozen=True, slots=True)
class GlobalVariable:
    """A device variable; `init` is padded with zeros to `size`. `constant` tells `__constant__` from `__device__`.

    `address` is None until the module is bound to a memory.
    """

    name: str
    size: int
    align: int
    init: bytes
    constant: bool = False
    address: int | None = None


@dataclass(frozen=True, slots=True)
class CompiledKernel:
    """A kernel's machine code for one variant."""

    program: Program
    code: MachineCode
    entry: int
    suspends: bool


class Kernel:
    """An entry point of a module.

    Attributes
    ----------
    params
        Parameters with their offsets, as the ABI lays them out.
    param_bytes
        Bytes of the parameter buffer.
    max_threads
        The bound that the kernel declares on threads per block, or None.
    """

    def __init__(self, syntax: ModuleSyntax, function: Function, cache: ObjectCache | None = None) -> None:
        self._syntax = syntax
        self._function = function
        self._cache = cache
        self._variants: dict[Variant, CompiledKernel] = {}
        self._lock = threading.Lock()
        self.name = function.name
        self.params = _lay_out(function.params)
        self.param_bytes = max((param.offset + param.size for param in self.params), default=0)
        self.max_threads = function.max_threads

    @cached_property
    def static_shared(self) -> int:
        """Bytes of shared memory that the kernel and what it calls declare.

        Raises
        ------
        UnsupportedError
            When a call cannot be followed; the module's other kernels still run.
        """
        return plan_program(
            self._syntax, self._function, Variant(_ANY_BLOCK, checks=True, counters=False)
        ).static_shared

    def compile(self, variant: Variant) -> CompiledKernel:
        """Return the machine code of a variant, compiled on first use.

        Raises
        ------
        UnsupportedError
            When the kernel uses something that simgpu lacks.
        """
        with self._lock:
            if variant not in self._variants:
                self._variants[variant] = self._compile(variant)
            return self._variants[variant]

    def _compile(self, variant: Variant) -> CompiledKernel:
        load_runtime()
        program = plan_program(self._syntax, self._function, variant)
        code = MachineCode(generate(program), speed=2, cache=self._cache)
        entry = code.address(llvm_name(self._function).strip('"'))
        return CompiledKernel(program, code, entry, suspends(program))


def generate(program: Program) -> str:
    """Return a kernel's LLVM module as text."""
    parts, declarations = [], {"declare i32 @llvm.cttz.i32(i32, i1)"}
    for function in program.functions:
        generator = FunctionCode(program, function)
        parts.append(generator.generate())
        declarations |= generator.context.e.declarations
    defined = {f"@{name}(" for name in program.support}
    kept = [line for line in sorted(declarations) if not any(name in line for name in defined)]
    notes = ['!0 = !{!"branch_weights", i32 1, i32 2000}', '!1 = !{!"branch_weights", i32 2000, i32 1}']
    return "\n".join([*kept, *program.support.values(), *parts, f"attributes #0 = {{ {ATTRIBUTES} }}", *notes])


def _lay_out(variables: tuple[Variable, ...]) -> tuple[Param, ...]:
    offset, found = 0, []
    for variable in variables:
        size = variable.size or 0
        offset = -(-offset // variable.align) * variable.align
        found.append(Param(variable.name, offset, size, variable.align))
        offset += size
    return tuple(found)


class Module:
    """A loaded PTX module. `bind` places its variables in a card's memory; each card has its own copy."""

    def __init__(self, syntax: ModuleSyntax, cache: ObjectCache | None = None) -> None:
        self._syntax = syntax
        bodies = [function for function in syntax.functions if function.entry and function.body is not None]
        self.kernels: Mapping[str, Kernel] = MappingProxyType(
            {function.name: Kernel(syntax, function, cache) for function in bodies}
        )
        self.globals: Mapping[str, GlobalVariable] = MappingProxyType(
            {variable.name: _global(variable) for variable in self._variables()}
        )
        self._bound: WeakKeyDictionary[DeviceMemory, Mapping[str, int]] = WeakKeyDictionary()

    def _variables(self) -> list[Variable]:
        return [variable for variable in self._syntax.variables if variable.space in {Space.GLOBAL, Space.CONST}]

    def bind(self, memory: DeviceMemory) -> Mapping[str, int]:
        """Allocate and initialise the module's variables once per memory; return their addresses by name."""
        if memory in self._bound:
            return self._bound[memory]
        addresses = {
            name: memory.allocate(variable.size, f"variable {name}") for name, variable in self.globals.items()
        }
        targets = function_addresses(self._syntax) | addresses
        for variable in self._variables():
            data = bytearray(self.globals[variable.name].init)
            for reference in variable.references:
                target = targets[reference.symbol.name] + reference.symbol.offset
                data[reference.offset : reference.offset + 8] = target.to_bytes(8, "little")
            memory.view(addresses[variable.name], len(data))[:] = data
        self._bound[memory] = addresses
        self.globals = MappingProxyType(
            {name: replace(variable, address=addresses[name]) for name, variable in self.globals.items()}
        )
        return addresses


def _global(variable: Variable) -> GlobalVariable:
    size = variable.size or 0
    return GlobalVariable(
        variable.name, size, variable.align, variable.initial.ljust(size, b"\0"), variable.space is Space.CONST
    )


def load_module(ptx: str, cache: ObjectCache | None = None) -> Module:
    """Parse a PTX module; kernels are compiled when they are first launched.

    Parameters
    ----------
    ptx
        The module's text.
    cache
        Where machine code is kept between processes; by default in the user's cache folder, or under
        `KERNELWRIGHT_CACHE_DIR`.

    Raises
    ------
    PtxSyntaxError
        When the text is not PTX.
    UnsupportedError
        When a directive is not implemented.
    """
    return Module(parse_module(ptx), cache)
