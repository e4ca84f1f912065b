"""Which functions a kernel may call: directly, or through a pointer to any function whose address is taken."""

from __future__ import annotations

from simgpu.ptx.syntax import Function, Group, Instruction, ModuleSyntax, Register, Symbol
from simgpu.refusal import refused

PROVIDED = frozenset({"__assertfail", "vprintf"})
"""Functions of the CUDA device runtime that simgpu provides itself."""
_FUNCTION_WINDOW = 3 << 60
"""Addresses of functions begin here, above every address of memory."""
_FUNCTION_STEP = 16


def callee(instruction: Instruction) -> str | None:
    """Return the function that a `call` names; None if it goes through a pointer."""
    for operand in instruction.operands[:2]:
        if isinstance(operand, Register):
            return None
        if isinstance(operand, Symbol):
            return operand.name
    raise refused(instruction, "without a function")


def function_addresses(syntax: ModuleSyntax) -> dict[str, int]:
    """Give each function of a module an address, which only calls understand."""
    bodies = [function.name for function in syntax.functions if function.body is not None and not function.entry]
    return {name: _FUNCTION_WINDOW + _FUNCTION_STEP * (place + 1) for place, name in enumerate(bodies)}


def targets(instruction: Instruction, functions: tuple[Function, ...], taken: frozenset[str]) -> list[Function]:
    """List the functions that a call through a pointer may reach: their address is taken and they take as much."""
    place = next(place for place, operand in enumerate(instruction.operands) if isinstance(operand, Register))
    groups = [operand for operand in instruction.operands if isinstance(operand, Group)]
    results = len(groups.pop(0).items) if place else 0
    params = len(groups[0].items) if groups else 0
    return [
        function
        for function in functions
        if function.name in taken and len(function.results) == results and len(function.params) == params
    ]


def taken_addresses(syntax: ModuleSyntax) -> frozenset[str]:
    """Find the functions whose address a variable or a register holds."""
    names = set(function_addresses(syntax))
    found = {reference.symbol.name for variable in syntax.variables for reference in variable.references}
    for function in syntax.functions:
        for item in function.body or ():
            if isinstance(item, Instruction) and item.base in {"mov", "cvta"}:
                found |= {operand.name for operand in item.operands if isinstance(operand, Symbol)}
    return frozenset(found & names)


def reachable(syntax: ModuleSyntax, kernel: Function) -> tuple[Function, ...]:
    """List the kernel and the functions that it may call.

    Raises
    ------
    UnsupportedError
        When it calls a function that the module only declares and simgpu does not provide.
    """
    bodies = {function.name: function for function in syntax.functions if function.body is not None}
    taken = sorted(taken_addresses(syntax))
    found = {kernel.name: kernel}
    work = [kernel]
    while work:
        for instruction in _calls(work.pop()):
            name = callee(instruction)
            if name is not None and name not in bodies and name not in PROVIDED:
                raise refused(instruction, called=name)
            for target in taken if name is None else [name]:
                if target in bodies and target not in found:
                    found[target] = bodies[target]
                    work.append(bodies[target])
    return tuple(found.values())


def recursive(functions: tuple[Function, ...], taken: frozenset[str]) -> frozenset[str]:
    """Find the functions that may run again before they return."""
    names = {function.name for function in functions}
    calls: dict[str, set[str]] = {function.name: set() for function in functions}
    for function in functions:
        for instruction in _calls(function):
            name = callee(instruction)
            calls[function.name] |= (set(taken) if name is None else {name}) & names
    return frozenset(name for name in names if name in _closure(calls, name))


def _closure(calls: dict[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    work = list(calls[start])
    while work:
        name = work.pop()
        if name not in seen:
            seen.add(name)
            work.extend(calls[name])
    return seen


def _calls(function: Function) -> list[Instruction]:
    return [item for item in function.body or () if isinstance(item, Instruction) and item.base == "call"]
