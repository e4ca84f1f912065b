"""Writes a group of a model's operators as a reference source of its own."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from keyword import iskeyword

from tasks.errors import UserError
from tasks.size_rules import size_rule
from tasks.traced import NUMBER, OperatorKind, Trace
from tasks.values import DType


@dataclass(frozen=True, slots=True)
class Written:
    """A group's source, or why there is none."""

    source: str = ""
    refusal: str = ""


def write_group(number: int, names: Sequence[str], traces: Sequence[Trace]) -> Written:
    """Return the operators of these names as a function with its example inputs.

    Integers that follow from the axes at all traces are written with the axes, so that the sizes may vary.
    """
    try:
        return Written(source=_Writing(number, names, traces).source())
    except UserError as error:
        return Written(refusal=str(error))


class _Writing:
    """One group as a reference source."""

    def __init__(self, number: int, names: Sequence[str], traces: Sequence[Trace]) -> None:
        self._number = number
        self._traces = traces
        self._by_name = {one.name: one for one in traces[0].operators}
        self._columns = [{one.name: one for one in trace.operators} for trace in traces]
        wanted = self._with_free_operands(names)
        self._inside = [one.name for one in traces[0].operators if one.name in wanted]
        used = dict.fromkeys(use for name in self._inside for use in self._by_name[name].uses if use not in wanted)
        self._inputs = list(used)
        self._axes = [trace.axes for trace in traces]

    def source(self) -> str:
        """Return the whole source.

        Raises
        ------
        UserError
            The group takes no tensor, or one of a type that tasks lack.
        """
        if not self._inputs:
            raise UserError("it takes no tensor, so a kernel would compute a constant")
        spelled = self._spelled()
        lines = [f"    {spelled[name]} = {self._call(name, spelled)}" for name in self._inside]
        drawn = [f"        {self._drawn(name)}," for name in self._inputs]
        results = ", ".join(spelled[name] for name in self._results())
        body = "\n".join(lines)
        text = (
            f"def group_{self._number}({', '.join(spelled[name] for name in self._inputs)}):\n{body}\n"
            f"    return {results}\n\n\ndef get_inputs():\n    return [\n" + "\n".join(drawn) + "\n    ]\n"
        )
        mentioned = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
        header = "".join(f"{axis} = {size}\n" for axis, size in self._axes[0].items() if axis in mentioned)
        return f'"""{self._title()}"""\n\nimport torch\n\n{header}\n\n{text}'

    def _title(self) -> str:
        costly = [one.op.removeprefix("aten::") for name in self._inside if (one := self._by_name[name]).nbytes]
        return f"{', '.join(costly)}: group {self._number} of a model"

    def _with_free_operands(self, names: Iterable[str]) -> set[str]:
        """Add the operators without cost that lead from sources alone to the group."""
        wanted, placed = set(names), set(names)
        pending = list(names)
        while pending:
            for use in self._by_name[pending.pop()].uses:
                if use not in wanted and use not in placed and self._from_sources(use):
                    wanted.add(use)
                    pending.append(use)
        return wanted

    def _from_sources(self, name: str) -> bool:
        operator = self._by_name[name]
        return operator.kind is OperatorKind.FREE and all(
            self._by_name[use].kind is OperatorKind.SOURCE or self._from_sources(use) for use in operator.uses
        )

    def _spelled(self) -> dict[str, str]:
        """Return the variable of each result: that of a source is called after it, none like an axis."""
        taken = {axis for axes in self._axes for axis in axes}
        spelled: dict[str, str] = {}
        for name in (*self._inputs, *self._inside):
            operator = self._by_name[name]
            word = re.sub(r"\W", "_", operator.op if operator.kind is OperatorKind.SOURCE else name)
            word = word if word.isidentifier() and not iskeyword(word) else f"v_{word}"
            while word in taken:
                word += "_"
            taken.add(word)
            spelled[name] = word
        return spelled

    def _call(self, name: str, spelled: Mapping[str, str]) -> str:
        operator = self._by_name[name]
        columns = zip(*(column[name].numbers for column in self._columns), strict=True)
        pieces = operator.text.split(NUMBER)
        numbers = [self._number_text(values) for values in columns]
        text = "".join(piece + number for piece, number in zip(pieces, [*numbers, ""], strict=True))
        tree = ast.parse(text, mode="eval")
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and node.id in operator.uses:
                node.id = spelled[node.id]
        return ast.unparse(tree)

    def _number_text(self, values: Sequence[int]) -> str:
        """Return an integer of a call as a literal, or over the axes where it follows them at all sizes traced."""
        rule = size_rule(self._axes, values)
        return str(values[0] if rule is None else rule)

    def _drawn(self, name: str) -> str:
        operator = self._by_name[name]
        if operator.dtype is None:
            raise UserError(f"it takes a tensor of a type that tasks do not have ({', '.join(DType)})")
        columns = zip(*(column[name].shape for column in self._columns), strict=True)
        sizes = ", ".join(map(self._number_text, columns)) or "()"
        if operator.dtype is DType.BOOL:
            return f"torch.rand({sizes}) < 0.5"
        if not operator.dtype.is_floating:
            return f"torch.rand({sizes}).round().to(torch.{operator.dtype})"
        return f"torch.rand({sizes}, dtype=torch.{operator.dtype})"

    def _results(self) -> Iterator[str]:
        """Yield what other groups or the model's caller read."""
        inside = set(self._inside)
        read = {use for one in self._traces[0].operators if one.name not in inside for use in one.uses}
        wanted = (read | set(self._traces[0].results)) & inside
        tensors = [
            name for name in self._inside if name in wanted and self._by_name[name].kind is not OperatorKind.SOURCE
        ]
        yield from tensors or self._inside[-1:]
