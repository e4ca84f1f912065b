"""Writes one stage's terms as CUDA C++: names, addresses, parameters. The schedules' skeletons use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from agent.offline.graph import Graph, Size
from agent.offline.primitives import C_TYPE, PRIMITIVES, STORAGE_TYPE, apply_text, literal_text
from agent.offline.stages import Reduction, Stage
from agent.offline.terms import Digit, Index, Step, Term, TermKind, merge, stride_of


@dataclass(frozen=True, slots=True)
class Parameter:
    """A kernel parameter that is no tensor: a size, or a scalar that follows from sizes."""

    name: str
    c_type: str
    size: Size | None = None
    scalar: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """A loop variable and the digits that it runs over, row-major."""

    name: str
    """`row`, `column` or `batch`; also the variable's name."""
    total: str
    """Parameter that holds the number of values."""
    digits: Index


class KernelWriter:
    """Text of one stage's values.

    Parameters
    ----------
    graph, stage
        What is computed.
    groups
        The loop variables of the schedule's skeleton, with the stage's digits.
    names
        Identifier of each tensor.
    """

    def __init__(self, graph: Graph, stage: Stage, groups: Sequence[Group], names: Mapping[str, str]) -> None:
        self.graph = graph
        self.names = names
        self.stage = stage
        addresses = [term.steps for term in stage.terms if term.steps] + [output.steps for output in stage.outputs]
        self.groups = {group.name: Group(group.name, group.total, merge(group.digits, addresses)) for group in groups}
        self.parameters: list[Parameter] = []
        self._sizes: dict[Size, str] = {}
        for group in groups:
            size = _extent(group.digits, graph.sets)
            self._sizes.setdefault(size, group.total)
            self.parameters.append(Parameter(group.total, "int64_t", size))
        self._variable = {
            digit.name: (group.name, position)
            for group in self.groups.values()
            for position, digit in enumerate(group.digits)
        }
        self._varying: dict[tuple[int, str], bool] = {}
        self._reduced = {reduction.node: f"{reduction.op}_{i}" for i, reduction in enumerate(stage.reductions)}

    # Sizes and addresses

    def size_name(self, size: Size) -> str:
        """Return the text for a size inside the kernel, adding a parameter for a new one."""
        if size.is_one:
            return "1"
        if size not in self._sizes:
            name = f"extent_{len(self._sizes)}"
            self._sizes[size] = name
            self.parameters.append(Parameter(name, "int64_t", size))
        return self._sizes[size]

    def declare_digits(self, group_name: str, prefix: str) -> list[str]:
        """Return the lines that take loop variable `prefix` apart into the group's digits, `prefix_0` and so on."""
        group = self.groups[group_name]
        lines: list[str] = []
        rest = prefix
        for position in range(len(group.digits) - 1, 0, -1):
            extent = self.size_name(group.digits[position].extent)
            lines.append(f"const int64_t {prefix}_{position} = {rest} % {extent};")
            above = f"{prefix}_above_{position}" if position > 1 else f"{prefix}_0"
            lines.append(f"const int64_t {above} = {rest} / {extent};")
            rest = above
        return lines

    def advance_digits(self, group_name: str, start: str, variable: str, step: str) -> list[str]:
        """Return the lines that give `variable` and its digits `step` elements after `start`, within one vector."""
        count = len(self.groups[group_name].digits)
        if count < 2:  # noqa: PLR2004 -- a single digit is the loop variable itself
            return [f"const auto {variable} = {start} + {step};"]
        lines = [f"const int64_t {variable}_{position} = {start}_{position};" for position in range(count - 1)]
        return [*lines, f"const int64_t {variable}_{count - 1} = {start}_{count - 1} + {step};"]

    def address(self, steps: Sequence[Step], renamed: Mapping[str, str] = MappingProxyType({})) -> str:
        """Return an element offset; `renamed` gives loop variables another name than their group's."""
        parts = []
        for step in steps:
            variable = self._digit_text(step.digit, renamed)
            if variable is None:
                continue  # an outer digit that was merged into its inner neighbour
            stride = self.size_name(step.stride)
            parts.append(variable if stride == "1" else f"{variable} * {stride}")
        return " + ".join(parts) if parts else "0"

    def _digit_text(self, name: str, renamed: Mapping[str, str]) -> str | None:
        digit = self.stage.digits.get(name)
        if digit is not None and digit.chosen is not None:
            return self.name(digit.chosen)
        if name not in self._variable:
            return None
        group, position = self._variable[name]
        prefix = renamed.get(group, group)
        return prefix if len(self.groups[group].digits) == 1 else f"{prefix}_{position}"

    def inner_extent(self, group_name: str) -> Size:
        """Return the extent of a group's innermost digit: vectors must not cross it."""
        digits = self.groups[group_name].digits
        return digits[-1].extent if digits else Size((1,) * self.graph.sets)

    def outer_strides(self, steps: Sequence[Step], group_name: str) -> tuple[Size, ...]:
        """Return the strides that a vector access along a group must find divisible by its width."""
        inner = self.groups[group_name].digits[-1].name
        return tuple(
            step.stride for step in steps if step.digit != inner and self._digit_text(step.digit, {}) is not None
        )

    # What varies with what

    def varies(self, term: int, group_name: str) -> bool:
        """Whether a term depends on a loop variable."""
        if (term, group_name) not in self._varying:
            digits = {digit.name for digit in self.groups[group_name].digits}
            own = any(step.digit in digits for step in self.stage.terms[term].steps)
            inputs = self.inputs_of(term)
            self._varying[term, group_name] = own or any(self.varies(operand, group_name) for operand in inputs)
        return self._varying[term, group_name]

    def inputs_of(self, term: int) -> tuple[int, ...]:
        """Return the terms that a term is computed from, indices that it looks up included."""
        found = self.stage.terms[term]
        chosen = (self.stage.digits[step.digit].chosen for step in found.steps if step.digit in self.stage.digits)
        return (*found.operands, *(index for index in chosen if index is not None))

    def is_vector_load(self, term: int, group_name: str) -> bool:
        """Whether a load walks memory element by element along a loop variable."""
        found = self.stage.terms[term]
        digits = self.groups[group_name].digits
        if found.kind is not TermKind.LOAD or len(digits) == 0 or self._chosen_digit(found) is not None:
            return False
        stride = stride_of(found.steps, digits[-1].name)
        return stride is not None and stride.is_one

    def costly(self, term: int) -> bool:
        """Whether a term is worth keeping rather than computing again."""
        found = self.stage.terms[term]
        return found.kind is TermKind.APPLY and found.op in PRIMITIVES and PRIMITIVES[found.op].costly

    # Text

    def name(self, term: int) -> str:
        """Return the text that stands for a term's value."""
        found = self.stage.terms[term]
        if found.kind is TermKind.LITERAL:
            return self._literal(found)
        if found.kind is TermKind.REDUCED:
            return self._reduced[found.op]
        if found.kind is TermKind.PRODUCT:
            return "product"
        return f"t{term}"

    def reduced(self, reduction: Reduction) -> str:
        """Return the variable that holds a reduction's result."""
        return self._reduced[reduction.node]

    def is_value(self, term: int) -> bool:
        """Whether a term needs a line of its own."""
        return self.stage.terms[term].kind not in (TermKind.LITERAL, TermKind.REDUCED, TermKind.PRODUCT)

    def _literal(self, term: Term) -> str:
        if len(set(term.literal)) == 1 or all(value != value for value in term.literal):  # noqa: PLR0124 -- NaN
            return literal_text(term.literal[0], term.c_type)
        for parameter in self.parameters:
            if parameter.scalar == term.literal and parameter.c_type == term.c_type:
                return parameter.name
        name = f"scalar_{len(self.parameters)}"
        self.parameters.append(Parameter(name, term.c_type, scalar=term.literal))
        return name

    def line(self, term: int, source: str | None = None) -> str:
        """Return the statement that computes a term; `source` replaces the text of a load."""
        found = self.stage.terms[term]
        if source is None:
            source = self._value(found)
        return f"const {found.c_type} t{term} = {source};"

    def _value(self, term: Term) -> str:
        if term.kind is TermKind.POSITION:
            return f"static_cast<int64_t>({self.address(term.steps)})"
        if term.kind is TermKind.LOAD:
            load = f"to_compute({self.names[term.tensor]}[{self.address(term.steps)}])"
            chosen = self._chosen_digit(term)
            if chosen is None or chosen.chosen is None:
                return load
            index, extent = self.name(chosen.chosen), self.size_name(chosen.extent)
            invalid = literal_text(float("nan") if term.c_type in ("float", "double") else 0, term.c_type)
            return f"{index} >= 0 && {index} < {extent} ? {load} : {invalid}"
        operands = [self.name(operand) for operand in term.operands]
        operand_type = self.stage.terms[term.operands[-1]].c_type
        return apply_text(term.op, operands, operand_type, term.c_type)

    def _chosen_digit(self, term: Term) -> Digit | None:
        for step in term.steps:
            digit = self.stage.digits.get(step.digit)
            if digit is not None and digit.chosen is not None:
                return digit
        return None

    # Tensors

    def loaded(self) -> tuple[str, ...]:
        """Return the tensors that the stage reads, in order of first use."""
        names = [term.tensor for term in self.stage.terms if term.kind is TermKind.LOAD]
        if self.stage.product is not None:
            names += [self.stage.product.left.tensor, self.stage.product.right.tensor]
        return tuple(dict.fromkeys(names))

    def storage(self, tensor: str) -> str:
        """Return the C type of a tensor's elements in memory."""
        return STORAGE_TYPE[self.graph.nodes[tensor].dtype]

    def compute(self, tensor: str) -> str:
        """Return the C type that a tensor's elements are computed in."""
        return C_TYPE[self.graph.nodes[tensor].dtype]


def _extent(digits: Index, sets: int) -> Size:
    total = Size((1,) * sets)
    for digit in digits:
        total = total * digit.extent
    return total
