"""A tracer in this process, for sources that the tests wrote themselves, and tasks made of one expression."""

from collections.abc import Mapping

import pytest

from agent.offline.graph import TraceReply, TraceRequest
from agent.offline.trace_child import answer
from tasks.values import (
    Axis,
    Direction,
    Domain,
    DomainKind,
    DType,
    InputSpec,
    Purpose,
    ReferenceForm,
    Task,
    Workload,
)

AXES = {"a": 6, "b": 12, "c": 20}
_BENCH = {"a": 256, "b": 1024, "c": 512}


class InProcessTracer:
    """Counts how often it was asked."""

    def __init__(self) -> None:
        self.requests: list[TraceRequest] = []

    def trace(self, request: TraceRequest) -> TraceReply:
        self.requests.append(request)
        return answer(request)


def _spec(name: str, shape: str, axes: Mapping[str, int]) -> InputSpec:
    sizes = tuple(axes.get(part, 0) or int(part) for part in shape.split())
    if name.startswith("index"):
        return InputSpec(
            name=name, shape=sizes, dtype=DType.INT64, domain=Domain(kind=DomainKind.INDEX, high=axes["b"])
        )
    if name.startswith("mask"):
        return InputSpec(name=name, shape=sizes, dtype=DType.BOOL, domain=Domain(kind=DomainKind.MASK))
    dtype = DType.FLOAT16 if name.startswith("half") else DType.BFLOAT16 if name.startswith("brain") else DType.FLOAT32
    return InputSpec(name=name, shape=sizes, dtype=dtype)


def _example(spec: InputSpec, shape: str) -> str:
    sizes = ", ".join(shape.split())
    if spec.dtype is DType.INT64:
        return f"torch.randint(0, b, ({sizes},))"
    if spec.dtype is DType.BOOL:
        return f"torch.rand({sizes}) > 0.5"
    return f"torch.randn({sizes}, dtype=torch.{spec.dtype})"


def _source(expression: str, tensors: Mapping[str, str]) -> str:
    examples = [_example(_spec(name, shape, AXES), shape) for name, shape in tensors.items()]
    return (
        "import torch\nimport torch.nn.functional as F\n"
        + "".join(f"{axis} = {size}\n" for axis, size in AXES.items())
        + f"def op({', '.join(tensors)}):\n    return {expression}\n"
        + f"def get_inputs():\n    return [{', '.join(examples)}]\n"
    )


def _workload(name: str, axes: Mapping[str, int], tensors: Mapping[str, str], purpose: Purpose) -> Workload:
    inputs = tuple(_spec(tensor, shape, axes) for tensor, shape in tensors.items())
    return Workload(name=name, axes=dict(axes), inputs=inputs, purpose=purpose)


def make_task(
    expression: str, /, backward: tuple[tuple[str, ...], tuple[str, ...]] | None = None, **tensors: str
) -> Task:
    """A task for `op(tensors) = expression`; a tensor is given by its sizes, for instance `x="a b"`.

    Names starting with `index`, `mask`, `half` and `brain` choose the element type. `backward` holds the saved
    tensors and those whose gradients are asked for.
    """
    verify = [AXES, {"a": 1, "b": 7, "c": 5}, {"a": 3, "b": 130, "c": 33}]
    workloads = [_workload(f"verify-{i}", axes, tensors, Purpose.VERIFY) for i, axes in enumerate(verify)]
    return Task(
        slug="made",
        title="Made for a test",
        source=_source(expression, tensors),
        form=ReferenceForm.FUNCTION,
        entry="op",
        direction=Direction.BACKWARD if backward else Direction.FORWARD,
        axes=tuple(Axis(name=name, default=size) for name, size in AXES.items()),
        workloads=(*workloads, _workload("bench", _BENCH, tensors, Purpose.BENCH)),
        saved=backward[0] if backward else (),
        gradients=backward[1] if backward else (),
    )


@pytest.fixture(scope="session")
def task_of():
    return make_task


@pytest.fixture
def tracer():
    return InProcessTracer()
