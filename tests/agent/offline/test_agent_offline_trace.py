"""From a reference's source to stages: tracing, the closed form, fusion, and the sentences for what has no schedule."""

import pytest

from agent.offline.graph import UnsupportedOpError
from agent.offline.stages import StageKind
from agent.offline.trace import SandboxTracer, trace_sizes, understand

POINTWISE, ROW, WHOLE, MATMUL = StageKind.POINTWISE, StageKind.ROW, StageKind.WHOLE, StageKind.MATMUL


@pytest.mark.parametrize(
    ("expression", "tensors", "kinds"),
    [
        ("torch.relu(x)", {"x": "a b"}, [POINTWISE]),
        ("x + bias.view(b, 1) * scale", {"x": "a b c", "bias": "b", "scale": "a 1 c"}, [POINTWISE]),
        ("x.sum(-1)", {"x": "a b"}, [ROW]),
        ("x.sum(1)", {"x": "a b c"}, [ROW]),
        ("torch.softmax(x, -1)", {"x": "a b"}, [ROW]),
        ("F.layer_norm(x + y, (c,), w, v)", {"x": "a b c", "y": "a b c", "w": "c", "v": "c"}, [ROW]),
        ("F.group_norm(x, 2)", {"x": "a 4 b c"}, [ROW]),
        ("F.cross_entropy(x, index)", {"x": "a b", "index": "a"}, [ROW, WHOLE]),
        ("((x - y) ** 2).mean()", {"x": "a b", "y": "a b"}, [WHOLE]),
        ("(x - x.mean()) / x.std()", {"x": "a b"}, [WHOLE, WHOLE, POINTWISE]),
        ("F.gelu(F.linear(x, w, v))", {"x": "a 3 b", "w": "c b", "v": "c"}, [MATMUL]),
        ("torch.relu(x) @ w", {"x": "a b", "w": "b c"}, [POINTWISE, MATMUL]),
        ("torch.softmax(x @ y.transpose(-1, -2) / 8, -1) @ y", {"x": "a 2 b c", "y": "a 2 b c"}, [MATMUL, ROW, MATMUL]),
    ],
)
def test_ops_fuse_into_few_kernels(task_of, tracer, expression, tensors, kinds):
    program = understand(task_of(expression, **tensors), tracer).program
    assert [stage.kind for stage in program.stages] == kinds
    assert list(program.graph.inputs) == list(tensors)


def test_the_gradient_of_softmax_needs_only_its_result(task_of, tracer):
    task = task_of("torch.softmax(x, -1)", backward=(("output",), ("x",)), x="a b")
    program = understand(task, tracer).program
    assert program.entry == "backward"
    assert program.graph.inputs == ("grad_output", "result")
    (stage,) = program.stages
    assert [reduction.op for reduction in stage.reductions] == ["sum"]


def test_a_gradient_that_needs_what_is_not_saved_says_so(task_of, tracer):
    task = task_of("torch.tanh(x) * x", backward=(("output",), ("x",)), x="a b")
    with pytest.raises(UnsupportedOpError, match="a tensor of the op that the task does not save"):
        understand(task, tracer)


@pytest.mark.parametrize(
    ("expression", "tensors", "sentence"),
    [
        ("torch.cumsum(x, -1)", {"x": "a b"}, r"no schedule for `.*cumsum"),
        ("F.conv2d(x, w)", {"x": "a 3 b c", "w": "4 3 3 3"}, r"no schedule for `.*convolution"),
        ("torch.sort(x, -1).values", {"x": "a b"}, r"no schedule for `.*sort"),
        ("x[:, 1:]", {"x": "a b"}, "strided slice"),
        ("x", {"x": "a b"}, "nothing to compute"),
        ("x * (0.1 if b % 2 else 0.37)", {"x": "a b"}, "cannot tell how the scalar"),
        ("x.relu() if b % 2 else x.exp()", {"x": "a b"}, None),
    ],
)
def test_what_has_no_schedule_is_named(task_of, tracer, expression, tensors, sentence):
    from agent.offline.candidates import Target, ranked  # noqa: PLC0415 -- beside the one test that emits
    from agent.offline.emit import emit  # noqa: PLC0415

    task = task_of(expression, **tensors)
    if sentence is None:
        understand(task, tracer)
        return
    with pytest.raises(UnsupportedOpError, match=sentence):  # noqa: PT012 -- some are seen only when sizes are written
        traced = understand(task, tracer)
        emit(traced.program, ranked(traced.program, Target(traced.benchmarks, 132))[0])


def test_a_reference_that_raises_gives_its_own_words(task_of, tracer):
    with pytest.raises(UnsupportedOpError, match=r"could not be traced: .*not_there"):
        understand(task_of("torch.not_there(x)", x="a b"), tracer)


def test_the_benchmark_comes_first_and_every_axis_gets_a_prime_of_its_own(task_of):
    sizes = trace_sizes(task_of("torch.relu(x)", x="a b"))
    assert sizes[0] == {"a": 256, "b": 1024, "c": 512}
    assert {"a": 5, "b": 7, "c": 11} in sizes
    assert {"a": 13, "b": 17, "c": 19} in sizes


@pytest.mark.slow
def test_the_sandboxed_child_traces_like_this_process(task_of, tracer):
    task = task_of("torch.softmax(x, -1)", x="a b")
    understand(task, tracer)
    (request,) = tracer.requests
    assert SandboxTracer().trace(request) == tracer.trace(request)


@pytest.mark.slow
def test_a_reference_that_ends_its_process_is_refused(task_of):
    task = task_of("torch.relu(x)", x="a b")
    task = task.model_copy(update={"source": task.source + "\nimport os\nos._exit(3)\n"})
    with pytest.raises(UnsupportedOpError, match="could not be traced"):
        understand(task, SandboxTracer())
