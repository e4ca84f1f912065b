"""Triton candidates in the sandbox: tensors of the card, launches seen, what PyTorch does on the host recorded."""

from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from sandbox.build import build
from sandbox.candidate import open_candidate
from sandbox.devices import parse_device
from sandbox.evidence import HostOpKind
from sandbox.values import Build, BuildError, BuildErrorKind, Candidate, ExitState, Language, SourceFile, Tensor
from tasks.values import DType

pytest.importorskip("triton")

H100 = parse_device("sim:h100")
BEHAVE = Path(__file__).parent / "python" / "behave.py"
COLUMNS = 37
NAMES = ["honest", "computes", "to_host", "moves", "beyond", "does_not_compile", "from_host", "unwritten", "raises",
         "on_cpu", "clusters", "nothing", "asks", "tuned", "falls_back", "in_place", "mixed", "half", "memory", "strange"]  # fmt: skip


def python_candidate(text: str, language: Language = Language.TRITON, entry: str = "forward") -> Candidate:
    return Candidate(language=language, files=(SourceFile(name="kernel.py", text=text),), entry=entry)


def line_of(text: str) -> int:
    lines = BEHAVE.read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


@pytest.fixture(scope="module")
def built(settings) -> Build:
    return build(python_candidate(BEHAVE.read_text(encoding="utf-8")), "sm_90", settings)


@contextmanager
def calling(built, settings):
    with open_candidate(built, H100, settings=settings) as session:

        def call(name: str, **options):
            rows = NAMES.index(name) + 1
            x = np.arange(rows * COLUMNS, dtype="f4").reshape(rows, COLUMNS)
            execution = session.call([Tensor(dtype=DType.FLOAT32, shape=x.shape, data=x.tobytes())], **options)
            return x, execution

        yield call


@pytest.fixture(scope="module")
def behave(built, settings):
    """Calls one behaviour; one child serves them all."""
    with calling(built, settings) as call:
        yield call


@pytest.fixture
def behave_anew(built, settings):
    """Calls behaviours in a child that has compiled nothing yet."""
    with calling(built, settings) as call:
        yield call


def array(tensor: Tensor) -> np.ndarray:
    return np.frombuffer(tensor.data, tensor.dtype.value).reshape(tensor.shape)


def test_the_build_names_its_kernels_and_versions(built, settings):
    assert built.jit == ("scale_kernel", "wrong_kernel")
    assert (built.source, built.library, built.ptx, built.kernels) == ("kernel.py", None, None, ())
    assert built.toolchain.startswith("torch ")
    assert sorted(path.name for path in built.folder.iterdir()) == ["build.json", "kernel.py", "manifest.json"]
    assert build(python_candidate(BEHAVE.read_text(encoding="utf-8")), "sm_90", settings).cached


def test_a_candidate_computes_and_its_launch_is_seen(behave_anew):
    x, execution = behave_anew("honest", counters=True)
    assert (execution.state, execution.message, execution.host_ops) == (ExitState.OK, "", ())
    np.testing.assert_array_equal(array(execution.outputs[0]), 2 * x)
    assert bytes(execution.arguments_after[0].data) == x.tobytes()
    (launch,) = execution.launches
    assert (launch.kernel, launch.grid, launch.block) == ("scale_kernel", (1, 1, 1), (128, 1, 1))
    assert launch.counters["global_store_bytes"] == x.nbytes
    (made,) = [one for one in execution.specialisations if one.kernel == "scale_kernel"]
    assert (made.num_warps, made.num_stages) == (4, 3)
    assert made.registers > 0
    assert ".entry scale_kernel" in made.ptx
    assert made.seconds > 0
    assert execution.samples_us[0] >= (launch.microseconds or 0) > 0
    # The text of the PTX comes once.
    assert [one.ptx for one in behave_anew("honest")[1].specialisations if one.kernel == "scale_kernel"] == [""]


@pytest.mark.parametrize("name", ["asks", "tuned"])
def test_what_tutorials_call_means_the_card(behave, name):
    x, execution = behave(name)
    assert (execution.state, execution.message) == (ExitState.OK, "")
    np.testing.assert_array_equal(array(execution.outputs[0]), 2 * x)
    assert [launch.kernel for launch in execution.launches] == ["scale_kernel"]
    assert all(op.kind is HostOpKind.MOVEMENT for op in execution.host_ops)


@pytest.mark.parametrize(
    ("name", "kind", "op", "place"),
    [
        ("computes", HostOpKind.COMPUTE, "aten.mul.Tensor", "torch computes"),
        ("to_host", HostOpKind.TO_HOST, "aten._to_copy.default", "x.cpu().cuda()"),
        ("falls_back", HostOpKind.COMPUTE, "aten.mul.Tensor", "torch.mul(x, 2)"),
    ],
)
def test_work_of_pytorch_is_recorded_with_its_line(behave, name, kind, op, place):
    _, execution = behave(name)
    assert execution.state is ExitState.OK
    first = execution.host_ops[0]
    assert (first.kind, first.name, first.line, first.count) == (kind, op, line_of(place), 1)


def test_copies_are_movement_and_cost_time(behave):
    x, execution = behave("moves", counters=True)
    np.testing.assert_array_equal(array(execution.outputs[0]), 2 * x)
    assert {op.kind for op in execution.host_ops} == {HostOpKind.MOVEMENT}
    assert {op.name for op in execution.host_ops} >= {"aten.clone.default", "aten._to_copy.default"}
    assert execution.samples_us[0] > 2 * sum(launch.microseconds or 0 for launch in execution.launches)


@pytest.mark.parametrize(
    ("name", "state", "said"),
    [
        ("beyond", ExitState.MEMORY_ERROR, "past the end of 'torch.empty_like'"),
        ("does_not_compile", ExitState.COMPILE_ERROR, "no_such_function"),
        ("from_host", ExitState.LAUNCH_ERROR, "'x_ptr' is a tensor of host memory"),
        ("unwritten", ExitState.MEMORY_ERROR, "nothing has written"),
        ("raises", ExitState.LAUNCH_ERROR, "ValueError: as the candidate says"),
        ("on_cpu", ExitState.LAUNCH_ERROR, "not on the GPU"),
        ("clusters", ExitState.UNSUPPORTED, "num_ctas=2"),
        ("mixed", ExitState.LAUNCH_ERROR, "two devices, cuda:0 and cpu"),
        ("strange", ExitState.LAUNCH_ERROR, "returned list where a tensor"),
    ],
)
def test_a_failure_has_a_state_and_a_sentence(behave, name, state, said):
    _, execution = behave(name)
    assert (execution.state, said in execution.message) == (state, True), execution.message
    assert execution.outputs == ()


def test_faults_and_errors_name_the_line_of_the_file(behave):
    (first, *_) = behave("beyond")[1].diagnostics
    assert (first.kind, first.file, first.line) == ("out_of_bounds", "kernel.py", line_of("tl.store(out_ptr + index"))
    assert behave("does_not_compile")[1].message.startswith(f"kernel.py:{line_of('tl.no_such_function')}: ")
    assert behave("raises")[1].message.startswith(f"kernel.py:{line_of('raise ValueError')}: ")


def test_calls_leave_nothing_in_the_cards_memory(behave):
    used = [float(array(behave("memory")[1].outputs[1])[0]) for _ in range(4)]
    assert used[-1] <= used[0]


def test_what_did_no_work_launched_nothing(behave):
    assert behave("nothing")[1].launches == ()
    assert array(behave("half")[1].outputs[0]).dtype == np.float16
    x, changed = behave("in_place")
    np.testing.assert_array_equal(array(changed.arguments_after[0]), 2 * x)


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("def forward(:\n", BuildErrorKind.SYNTAX, "kernel.py:1: "),
        ("def forward(x):\n    return x\n", BuildErrorKind.SPEC, "@triton.jit"),
        ("@triton.jit\ndef k(x):\n    pass\n", BuildErrorKind.SPEC, "no function `forward`"),
        ("@triton.jit(repr=str)\ndef k(x):\n    pass\ndef forward(x): ...\n", BuildErrorKind.SPEC, "`repr` renames"),
        ("x = '" + "x" * 500_000 + "'", BuildErrorKind.SPEC, "characters"),
    ],
    ids=["syntax", "no-kernel", "no-entry", "renamed", "long"],
)
def test_what_can_be_seen_without_running_is_refused_first(settings, text, kind, said):
    with pytest.raises(BuildError) as caught:
        build(python_candidate(text), "sm_90", settings)
    assert caught.value.kind is kind
    assert said in caught.value.summary


def test_one_python_file_is_a_candidate(settings):
    files = (SourceFile(name="a.py", text=""), SourceFile(name="b.py", text=""))
    with pytest.raises(BuildError, match=r"one \.py file"):
        build(Candidate(language=Language.TRITON, files=files), "sm_90", settings)


def test_an_error_at_import_is_the_builds(settings):
    text = "import triton\n@triton.jit\ndef k(x):\n    pass\ndef forward(x): ...\nraise KeyError('absent')\n"
    with pytest.raises(BuildError, match=r"kernel\.py:6: KeyError: 'absent'"):
        build(python_candidate(text), "sm_90", settings)
