"""Generated kernels against PyTorch, compiled by nvcc and run on the simulated GPU."""

import pytest
import torch

from agent.offline.candidates import Target, ranked
from agent.offline.emit import emit
from agent.offline.schedules import MatmulSchedule, PointwiseSchedule, RowSchedule, SerialSchedule, WholeSchedule
from agent.offline.trace import understand
from sandbox.build import build
from sandbox.candidate import open_candidate
from sandbox.devices import parse_device
from sandbox.values import Candidate, ExitState, Language, SourceFile, Tensor
from tasks.reference import Reference
from tasks.values import Direction, DomainKind, DType, Precision, Purpose

pytestmark = pytest.mark.slow
DEVICE = parse_device("sim:h100")
CASES = [
    ("torch.relu(x)", {"x": "a b"}, [PointwiseSchedule(vector=4, items=2)]),
    ("x * mask + torch.tril(y)", {"x": "a b", "mask": "a b", "y": "a b"}, [PointwiseSchedule(vector=2)]),
    ("half * 2 + brain", {"half": "a b", "brain": "b"}, [PointwiseSchedule()]),
    ("torch.softmax(x, -1)", {"x": "a b"}, [RowSchedule(group=8, rows=16, items=1)]),
    ("torch.softmax(x, -1)", {"x": "a b"}, [RowSchedule(items=0, rows=1, stream=256, shared=1)]),
    ("torch.log_softmax(x, -1)", {"x": "a b"}, [RowSchedule(items=0, rows=1, stream=256)]),
    ("F.layer_norm(x + y, (b,), w, v)", {"x": "a b", "y": "a b", "w": "b", "v": "b"}, [RowSchedule(group=64, rows=1)]),
    ("F.group_norm(x, 2)", {"x": "a 4 b c"}, [RowSchedule(group=128, rows=1)]),
    ("torch.softmax(x, 1)", {"x": "a b c"}, [SerialSchedule()]),
    ("F.cross_entropy(x, index)", {"x": "a b", "index": "a"}, None),
    ("((x - y) ** 2).mean()", {"x": "a b", "y": "a b"}, [WholeSchedule(block=256, blocks=128)]),
    ("F.gelu(F.linear(x, w, v))", {"x": "a 3 b", "w": "c b", "v": "c"}, [MatmulSchedule(32, 32, 8, 4, 4, 1, 1)]),
    ("x.transpose(1, 2) @ y", {"x": "a b c", "y": "a b 5"}, [MatmulSchedule(64, 64, 8, 4, 4, 4, 2)]),
]


def tensor(value):
    flat = value.contiguous().reshape(-1).view(torch.uint8) if value.numel() else torch.empty(0, dtype=torch.uint8)
    return Tensor(DType(str(value.dtype).removeprefix("torch.")), tuple(value.shape), flat.numpy().tobytes())


def value_of(result):
    return torch.frombuffer(bytearray(result.data), dtype=getattr(torch, result.dtype)).reshape(result.shape)


def draw(spec):
    if spec.domain.kind is DomainKind.INDEX:
        return torch.randint(0, spec.domain.high, spec.shape)
    if spec.dtype is DType.BOOL:
        return torch.rand(spec.shape) > 0.5
    return (2 * torch.randn(spec.shape) + 0.5).to(getattr(torch, spec.dtype))


def candidate_for(program, schedules):
    source = emit(program, schedules)
    return Candidate(language=Language.CUDA, files=(SourceFile(name="kernel.cu", text=source),), entry=program.entry)


def expectation(task, workload):
    """Arguments of the candidate, the oracle's results and PyTorch's own."""
    reference = Reference(task.source, task.form, task.entry, workload.axes)
    tensors = {spec.name: draw(spec) for spec in workload.inputs}
    if task.direction is Direction.FORWARD:
        exact, native = (reference.forward(tensors, precision) for precision in (Precision.ORACLE, Precision.NATIVE))
        return list(tensors.values()), exact, native
    upstream = [torch.randn_like(result) for result in reference.forward(tensors, Precision.NATIVE)]
    runs = [
        reference.backward(tensors, upstream, task.saved, task.gradients, precision)
        for precision in (Precision.ORACLE, Precision.NATIVE)
    ]
    return [*upstream, *runs[0].saved], runs[0].gradients, runs[1].gradients


def check(task, program, schedules):
    torch.manual_seed(0)
    with open_candidate(build(candidate_for(program, schedules), DEVICE.arch), DEVICE) as session:
        for workload in task.workloads_for(Purpose.VERIFY):
            arguments, exact, native = expectation(task, workload)
            execution = session.call([tensor(argument) for argument in arguments])
            assert execution.state is ExitState.OK, (workload.axes, execution.message, execution.diagnostics)
            for result, right, ordinary in zip(execution.outputs, exact, native, strict=True):
                found = value_of(result)
                assert (found.shape, found.dtype) == (ordinary.shape, ordinary.dtype)
                honest = (ordinary.double() - right).abs().max().item()
                assert (found.double() - right).abs().max().item() <= 8 * honest + 1e-6, workload.axes


@pytest.mark.parametrize(("expression", "tensors", "schedules"), CASES)
def test_kernels_compute_what_pytorch_does(task_of, tracer, expression, tensors, schedules):
    task = task_of(expression, **tensors)
    traced = understand(task, tracer)
    check(task, traced.program, schedules or ranked(traced.program, Target(traced.benchmarks, 132))[0])


def test_the_gradient_of_softmax(task_of, tracer):
    task = task_of("torch.softmax(x, -1)", backward=(("output",), ("x",)), x="a b")
    check(task, understand(task, tracer).program, [RowSchedule()])


@pytest.mark.parametrize("schedule", [RowSchedule(items=2), RowSchedule(items=0, rows=1, stream=256)])
def test_infinities_and_nan_come_out_where_pytorch_has_them(task_of, tracer, schedule):
    task = task_of("torch.softmax(x, -1)", x="a b")
    rows = torch.randn(6, 40)
    infinity, nan = float("inf"), float("nan")
    rows[0], rows[1, 3], rows[2, 5], rows[3, :20], rows[4, 7] = -infinity, infinity, nan, -infinity, -infinity
    program = understand(task, tracer).program
    with open_candidate(build(candidate_for(program, [schedule]), DEVICE.arch), DEVICE) as session:
        execution = session.call([tensor(rows)])
    assert execution.state is ExitState.OK, execution.message
    torch.testing.assert_close(value_of(execution.outputs[0]), torch.softmax(rows, -1), equal_nan=True)


def test_an_index_out_of_range_reads_nothing_and_gives_nan(task_of, tracer):
    task = task_of("torch.gather(x, 1, index.view(a, 1))", x="a b", index="a")
    program = understand(task, tracer).program
    arguments = [tensor(torch.randn(3, 10)), tensor(torch.tensor([2, 10, -1]))]
    with open_candidate(build(candidate_for(program, [PointwiseSchedule()]), DEVICE.arch), DEVICE) as session:
        execution = session.call(arguments)
    assert execution.state is ExitState.OK
    assert torch.isnan(value_of(execution.outputs[0]).flatten()).tolist() == [False, True, True]
