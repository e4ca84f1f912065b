"""Arguments beyond those that decide: other layouts in memory, empty tensors, NaN and infinities.

A tensor that begins one element behind an aligned address is contiguous, so a candidate must take it, or refuse it by
an error. Views with gaps or swapped axes are another matter: what a candidate makes of them is recorded in the verdict
and decides nothing (`docs/decisions/0006-views-are-recorded.md`). So it is with empty tensors that the task does not
ask for, and with inputs that are not finite.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sandbox.layouts import Layout, differs
from sandbox.values import Execution, ExitState, Language
from tasks.values import Direction, Role, Task
from verifier.checks import check, judge, until_failed
from verifier.draws import Draw
from verifier.values import Check

REQUIRED: Final = (Layout.OFFSET,)
"""Contiguous ones."""
RECORDED: Final = (Layout.TRANSPOSED, Layout.SLICED, Layout.STRIDED)
"""The others."""


class LayoutTrials:
    """Chooses for each layout the first draw whose arguments it places otherwise.

    Parameters
    ----------
    task
        Which arguments are inputs.
    language
        A launch specification tells kernels no strides, so a `raw` candidate is given contiguous arguments only.
    """

    def __init__(self, task: Task, language: Language) -> None:
        self._task = task
        self._layouts = REQUIRED if language is Language.RAW else (*REQUIRED, *RECORDED)
        self._chosen: dict[Layout, Draw] = {}

    def offer(self, draw: Draw) -> None:
        """Take a draw that the candidate has answered rightly as a dense one."""
        for layout in self._layouts:
            laid_out = None if layout in self._chosen else _laid_out(self._task, draw, layout)
            if laid_out is not None:
                self._chosen[layout] = laid_out

    @property
    def draws(self) -> tuple[Draw, ...]:
        """The draws to call the candidate with."""
        return tuple(self._chosen.values())


def judge_layout(draw: Draw, execution: Execution, kernels: frozenset[str]) -> Check:
    """Return what a call with laid out arguments says of the candidate; it fails only for a required layout."""
    name = f"layout[{draw.layout}]"
    if _refused(execution):
        return check(draw, name, None, f"refused: {execution.message}")
    last = until_failed(judge(draw, execution, kernels))[-1]
    if last.passed:
        return check(draw, name, None, "right values", execution.outputs)
    if draw.layout in REQUIRED:
        return check(draw, name, last.status, f"the same tensors {draw.layout}: {last.detail}", execution.outputs)
    return check(draw, name, None, f"assumes contiguous inputs, {last.status} on others: {last.detail}")


def judge_empty(draw: Draw, execution: Execution, kernels: frozenset[str]) -> Check:
    """Return what a call with an axis of size 0 says of the candidate where the task does not ask for any."""
    return _recorded("sizes[empty]", "assumes that nothing is empty", draw, execution, kernels)


def judge_not_finite(draw: Draw, execution: Execution, kernels: frozenset[str]) -> Check:
    """Return what a call with NaN and infinities among the inputs says of the candidate."""
    return _recorded("inputs[not finite]", "assumes that its inputs are finite", draw, execution, kernels)


def _recorded(name: str, assumption: str, draw: Draw, execution: Execution, kernels: frozenset[str]) -> Check:
    if _refused(execution):
        return check(draw, name, None, f"refused: {execution.message}")
    last = until_failed(judge(draw, execution, kernels))[-1]
    return check(draw, name, None, "right values" if last.passed else f"{assumption}: {last.status}: {last.detail}")


def _refused(execution: Execution) -> bool:
    """Whether the host code raised; a kernel that trapped has refused nothing."""
    return execution.state is ExitState.LAUNCH_ERROR and not execution.diagnostics


def _laid_out(task: Task, draw: Draw, layout: Layout) -> Draw | None:
    """Return the draw in a layout, None where nothing would lie otherwise.

    Parameters and buffers are a module's own, so that only an offset is tried on them.
    """
    every = layout in REQUIRED or task.direction is Direction.BACKWARD
    moves = [every or spec.role is Role.INPUT for spec in draw.workload.inputs]
    moves += [True] * (len(draw.arguments) - len(moves))
    arguments = tuple(
        replace(tensor, layout=layout) if moved and differs(tensor.shape, layout) else tensor
        for tensor, moved in zip(draw.arguments, moves, strict=False)
    )
    moved_any = any(tensor.layout is layout for tensor in arguments)
    return replace(draw, arguments=arguments, layout=layout) if moved_any else None
