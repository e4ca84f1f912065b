"""Writes the candidate's source: each stage's kernel from its schedule's skeleton, then the host function."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from agent.offline.describe import describe
from agent.offline.graph import Graph, UnsupportedOpError
from agent.offline.primitives import SCALAR_TYPE, STORAGE_TYPE
from agent.offline.product_text import product_text
from agent.offline.schedules import (
    MatmulSchedule,
    PointwiseSchedule,
    RowSchedule,
    Schedule,
    SerialSchedule,
    WholeSchedule,
    to_record,
)
from agent.offline.stage_text import StageContext, StageText, pointwise_text, row_text, serial_text, whole_text
from agent.offline.stages import Stage
from agent.offline.walk import FUNCTORS


@dataclass(frozen=True, slots=True)
class Program:
    """Everything that a source is written from."""

    graph: Graph
    stages: tuple[Stage, ...]
    entry: str
    """`forward` or `backward`."""


def emit(program: Program, schedules: Sequence[Schedule]) -> str:
    """Return the `.cu` source of a program under one schedule for each stage.

    Raises
    ------
    UnsupportedOpError
        A size or scalar of the op follows from the arguments in no way that is known here.
    """
    return _Emitter(program).source(tuple(schedules))


class _Emitter:
    def __init__(self, program: Program) -> None:
        if not program.graph.inputs:
            raise UnsupportedOpError("the op has no tensor argument")
        self._program = program
        self._graph = program.graph
        self._context = StageContext(program.graph, self._name_tensors())
        self._names = self._context.names

    def _name_tensors(self) -> dict[str, str]:
        names = {name: name for name in self._graph.inputs}
        outputs = list(dict.fromkeys(self._graph.outputs))
        for position, name in enumerate(outputs):
            names[name] = "out" if len(outputs) == 1 else f"out_{position}"
        for number, stage in enumerate(self._program.stages):
            for position, output in enumerate(stage.outputs):
                names.setdefault(output.tensor, f"between_{number}_{position}")
        return names

    def source(self, schedules: tuple[Schedule, ...]) -> str:
        pairs = tuple(zip(self._program.stages, schedules, strict=True))
        parts = [_stage(self._context, number, stage, schedule) for number, (stage, schedule) in enumerate(pairs)]
        kernels = "\n".join(part.text for part in parts)
        return self._prelude(schedules, kernels) + "\n" + kernels + self._host([part.call for part in parts])

    # The file's frame

    def _prelude(self, schedules: tuple[Schedule, ...], kernels: str) -> str:
        ops = {reduction.op for stage in self._program.stages for reduction in stage.reductions}
        features = {name for name in ("maximum", "minimum") if f"{name}(" in kernels}
        features |= {f"{op}imum" for op in ops & {"max", "min"}}
        features |= {"shared"} if "largest_shared_memory()" in kernels else set()
        features |= {"online"} if "online_add(" in kernels else set()
        tensors = [*self._graph.inputs, *(output.tensor for stage in self._program.stages for output in stage.outputs)]
        storage = list(dict.fromkeys(STORAGE_TYPE[self._graph.nodes[name].dtype] for name in tensors))
        return self._context.template("prelude.cu.jinja").render(
            header=json.dumps({"stages": [to_record(schedule) for schedule in schedules]}),
            description=[
                describe(stage, schedule) for stage, schedule in zip(self._program.stages, schedules, strict=True)
            ],
            storage=storage,
            features=features,
            functors=[(op, FUNCTORS[op]) for op in FUNCTORS if op in ops],
            several_outputs=len(self._graph.outputs) > 1,
        )

    def _host(self, calls: Sequence[str]) -> str:
        first = self._graph.inputs[0]
        body = []
        for stage, call in zip(self._program.stages, calls, strict=True):
            body += [self._allocation(output.tensor) for output in stage.outputs]
            body.append(call)
        results = [self._names[name] for name in self._graph.outputs]
        several = len(results) > 1
        return self._context.template("host.cu.jinja").render(
            result_type="std::vector<torch::Tensor>" if several else "torch::Tensor",
            entry=self._program.entry,
            arguments=[f"torch::Tensor {name}" for name in self._graph.inputs],
            checks=[line for name in self._graph.inputs for line in self._checks(name)],
            device=first,
            body=body,
            results="{" + ", ".join(results) + "}" if several else results[0],
        )

    def _checks(self, name: str) -> list[str]:
        node = self._graph.nodes[name]
        kind, rank = SCALAR_TYPE[node.dtype], len(node.shape)
        condition = f"{name}.is_cuda() && {name}.scalar_type() == {kind} && {name}.dim() == {rank}"
        sentence = f"{name} must be on the GPU, of type {node.dtype}, with {rank} dimension(s)"
        return [f'TORCH_CHECK({condition}, "{sentence}");', f"{name} = {name}.contiguous();"]

    def _allocation(self, name: str) -> str:
        node = self._graph.nodes[name]
        shape = ", ".join(self._context.sizes.text(size) for size in node.shape)
        options = f"{self._graph.inputs[0]}.options().dtype({SCALAR_TYPE[node.dtype]})"
        return f"torch::Tensor {self._names[name]} = torch::empty({{{shape}}}, {options});"


def _stage(context: StageContext, number: int, stage: Stage, schedule: Schedule) -> StageText:
    match schedule:
        case PointwiseSchedule():
            return pointwise_text(context, number, stage, schedule)
        case RowSchedule():
            return row_text(context, number, stage, schedule)
        case SerialSchedule():
            return serial_text(context, number, stage, schedule)
        case WholeSchedule():
            return whole_text(context, number, stage, schedule)
        case MatmulSchedule():
            return product_text(context, number, stage, schedule)
