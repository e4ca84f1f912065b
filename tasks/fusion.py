"""Cuts the operators of a model into groups that one kernel could compute, and writes a group as a reference source."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.group_sources import write_group
from tasks.traced import Operator, OperatorKind, Trace
from tasks.values import Value

_CHAIN = frozenset({OperatorKind.FREE, OperatorKind.POINTWISE, OperatorKind.REDUCTION})


class Group(Value):
    """Operators that one kernel could compute."""

    number: int
    """From 1, by share of bytes."""
    ops: tuple[str, ...]
    """The operators that cost something, in order."""
    nbytes: int
    """Bytes that eager PyTorch moves for them."""
    flops: int
    """Their floating-point operations."""
    byte_share: float
    """Part of the model's bytes, 0 to 1."""
    flop_share: float
    """Part of the model's operations, 0 to 1."""
    source: str
    """The group as a reference source; empty when it cannot be one."""
    refusal: str = ""
    """Why it cannot."""


class ModelSplit(Value):
    """A model in groups."""

    groups: tuple[Group, ...]
    nbytes: int
    """Bytes of the whole model in eager mode."""
    flops: int
    """Operations of the whole model."""


def split_traces(traces: Sequence[Trace]) -> ModelSplit:
    """Return the groups of a model, the one that moves most bytes first.

    Parameters
    ----------
    traces
        At the model's own sizes, then at others; those with other operators than the first are passed over. What
        follows from the axes at all of them is written with the axes, so that the group's sizes may vary too.
    """
    first = traces[0]
    alike = [trace for trace in traces if _form(trace) == _form(first)]
    grouping = _Grouping()
    for operator in first.operators:
        grouping.add(operator)
    nbytes = sum(operator.nbytes for operator in first.operators)
    flops = sum(operator.flops for operator in first.operators)
    groups: list[Group] = []
    for members in sorted(grouping.groups, key=_bytes, reverse=True):
        number, moved, computed = len(groups) + 1, _bytes(members), sum(one.flops for one in members)
        written = write_group(number, [one.name for one in members], alike)
        groups.append(
            Group(
                number=number,
                ops=tuple(one.op for one in members if one.kind is not OperatorKind.FREE),
                nbytes=moved,
                flops=computed,
                byte_share=moved / nbytes if nbytes else 0.0,
                flop_share=computed / flops if flops else 0.0,
                source=written.source,
                refusal=written.refusal,
            )
        )
    return ModelSplit(groups=tuple(groups), nbytes=nbytes, flops=flops)


def _bytes(members: Sequence[Operator]) -> int:
    return sum(one.nbytes for one in members)


def _form(trace: Trace) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(one.name, one.text, one.uses) for one in trace.operators]


class _Grouping:
    """Operators put into groups, operands first; a group never waits for itself."""

    def __init__(self) -> None:
        self.groups: list[list[Operator]] = []
        self._needs: list[set[int]] = []
        self._place: dict[str, int] = {}

    def add(self, operator: Operator) -> None:
        """Put an operator into the group of an operand, or into a new one.

        Operators without cost follow the group that computes their operand; those that depend on sources alone stay
        out: they are written again in every group that uses them.
        """
        operands = list(dict.fromkeys(self._place[name] for name in operator.uses if name in self._place))
        if operator.kind is OperatorKind.SOURCE or (operator.kind is OperatorKind.FREE and not operands):
            return
        fitting = (group for group in sorted(operands, reverse=True) if self._joins(operator, group, operands))
        group = next(fitting, None)
        if group is None:
            group = len(self.groups)
            self.groups.append([])
            self._needs.append(set())
        self.groups[group].append(operator)
        self._needs[group] |= set(operands) - {group}
        self._place[operator.name] = group

    def _joins(self, operator: Operator, group: int, operands: Sequence[int]) -> bool:
        if any(group in self._waits_for(other) for other in operands if other != group):
            return False
        match operator.kind:
            case OperatorKind.FREE | OperatorKind.POINTWISE:
                return True
            case OperatorKind.REDUCTION:
                return all(member.kind in _CHAIN for member in self.groups[group])
        return False

    def _waits_for(self, group: int) -> set[int]:
        """Return the groups whose results a group needs, directly or through others."""
        found: set[int] = set()
        pending = [group]
        while pending:
            new = self._needs[pending.pop()] - found
            found |= new
            pending.extend(new)
        return found
