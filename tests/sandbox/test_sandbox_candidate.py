from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest

from sandbox.build import build
from sandbox.candidate import open_candidate
from sandbox.devices import parse_device
from sandbox.settings import IsolationChoice, SandboxSettings
from sandbox.values import Build, Candidate, ExitState, Language, Limits, SourceFile, Tensor
from tasks.values import DType

H100 = parse_device("sim:h100")
RNG = np.random.default_rng(1)


def tensor(values: np.ndarray, dtype: DType | None = None) -> Tensor:
    return Tensor(dtype=dtype or DType(values.dtype.name), shape=values.shape, data=values.tobytes())


def array(value: Tensor) -> np.ndarray:
    return np.frombuffer(value.data, dtype=value.dtype.value).reshape(value.shape)


def bfloat16(values: np.ndarray) -> np.ndarray:
    bits = values.astype("f4").view("u4").astype("u8")
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("u2")


def from_bfloat16(bits: np.ndarray) -> np.ndarray:
    return (bits.astype("u4") << 16).view("f4")


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x.astype("f8") - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


@pytest.fixture(scope="module")
def softmax_build(extension, sources) -> Build:
    return extension((sources / "softmax.cu").read_text())


@pytest.fixture(scope="module")
def misbehaving(extension, sources) -> Build:
    return extension((sources / "misbehave.cu").read_text())


@pytest.fixture(scope="module")
def session(misbehaving, settings):
    """One session for the tests of single failures: after a crash it goes on with a fresh child."""
    with open_candidate(misbehaving, H100, settings=settings) as opened:
        yield opened


def mode(number: int, size: int = 300) -> list[Tensor]:
    values = np.arange(size, dtype="f4")
    values[0] = number
    return [tensor(values)]


def test_an_extension_runs_and_computes(softmax_build, settings):
    with open_candidate(softmax_build, H100, settings=settings) as session:
        for shape in ((4, 33), (1, 1), (7, 1025)):
            x = RNG.standard_normal(shape).astype("f4")
            execution = session.call([tensor(x)])
            assert (execution.state, execution.message) == (ExitState.OK, "")
            np.testing.assert_allclose(array(execution.outputs[0]), softmax(x), rtol=1e-5)
            assert bytes(execution.arguments_after[0].data) == x.tobytes()
            (launch,) = execution.launches
            assert "softmax_kernel" in launch.kernel
            assert (launch.grid, launch.block) == ((shape[0], 1, 1), (256, 1, 1))
            assert execution.diagnostics == ()


def test_sixteen_bit_types_pass_bit_for_bit(softmax_build, settings):
    x = RNG.standard_normal((3, 70)).astype("f4")
    with open_candidate(softmax_build, H100, settings=settings) as session:
        arguments = (tensor(x.astype("f2")), tensor(bfloat16(x), DType.BFLOAT16), tensor(x.astype("f8")))
        executions = [session.call([argument]) for argument in arguments]
    assert [execution.message for execution in executions] == ["", "", ""]
    half, brain, double = (execution.outputs[0] for execution in executions)
    assert (half.dtype, brain.dtype, double.dtype) == (DType.FLOAT16, DType.BFLOAT16, DType.FLOAT64)
    np.testing.assert_allclose(array(half), softmax(x.astype("f2")), rtol=2e-3)
    rounded = from_bfloat16(bfloat16(x))
    np.testing.assert_allclose(
        from_bfloat16(np.frombuffer(brain.data, "u2").reshape(3, 70)), softmax(rounded), rtol=1e-2
    )
    np.testing.assert_allclose(array(double), softmax(x), rtol=1e-5)


def test_a_compiler_that_the_user_names_does_as_well(softmax_build, settings, tmp_path, monkeypatch):
    # Only this process knows CXX: a child that looked for its stand-in runtime by the compiler's name would not find it.
    compiler = tmp_path / "users-compiler"
    compiler.symlink_to(shutil.which("g++"))
    monkeypatch.setenv("CXX", str(compiler))
    own = settings.model_copy(update={"cache_dir": tmp_path / "cache"})
    with open_candidate(softmax_build, H100, settings=own) as opened:
        execution = opened.call([tensor(RNG.standard_normal((4, 8)).astype("f4"))])
    assert execution.state is ExitState.OK, execution.message


def test_many_calls_need_one_start(softmax_build, settings):
    x = [tensor(RNG.standard_normal((4, 64)).astype("f4"))]
    with open_candidate(softmax_build, H100, settings=settings) as session:
        session.call(x)
        first = session._child
        for _ in range(12):
            assert session.call(x).state is ExitState.OK
        assert session._child is first


def test_a_modelled_time_has_one_sample_and_counters(softmax_build, settings):
    x = tensor(RNG.standard_normal((512, 256)).astype("f4"))
    with open_candidate(softmax_build, H100, settings=settings) as session:
        execution = session.bench([[x]], repeats=20)
        counted = session.call([x], counters=True)
    assert execution.state is ExitState.OK
    (sample,) = execution.samples_us
    (launch,) = execution.launches
    assert 1 < sample < 1000
    assert launch.microseconds is not None
    assert sample >= launch.microseconds > 0
    assert launch.limiter
    assert {line.file for line in launch.lines} == {"kernel.cu"}
    assert sum(line.global_sectors for line in launch.lines) == pytest.approx(
        launch.counters["global_load_sectors"] + launch.counters["global_store_sectors"], rel=0.02
    )
    # A sample of the blocks says the same of the whole grid as all of them do, where they are alike.
    for name in ("global_load_sectors", "instructions.shuffle", "unique_read_bytes"):
        assert launch.counters[name] == pytest.approx(counted.launches[0].counters[name], rel=0.02)


def test_each_call_has_its_arguments_elsewhere(session):
    seen = [array(session.call(mode(14)).outputs[0])[0] for _ in range(8)]
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize(
    ("number", "state", "said"),
    [
        (2, ExitState.CRASHED, "SIGSEGV"),
        (5, ExitState.LAUNCH_ERROR, "seven axes wanted, not [300]"),
        (6, ExitState.MEMORY_ERROR, ""),
        (7, ExitState.TIMEOUT, ""),
        (8, ExitState.CRASHED, "exited with code 0"),
        (9, ExitState.LAUNCH_ERROR, "2048"),
        (10, ExitState.LAUNCH_ERROR, "no std::exception"),
        (11, ExitState.LAUNCH_ERROR, "not on the GPU"),
        (12, ExitState.OUT_OF_MEMORY, ""),
        (17, ExitState.LAUNCH_ERROR, "no tensor"),
    ],
    ids=["segfault", "check", "bounds", "kernel-loop", "exit", "refused", "throw", "cpu", "memory", "undefined"],
)
def test_a_failure_is_a_state_and_the_next_call_works(session, number, state, said):
    failed = session.call(mode(number))
    assert (failed.state, said in failed.message) == (state, True), failed
    assert failed.outputs == ()
    after = session.call(mode(0))
    assert after.state is ExitState.OK
    assert bytes(after.outputs[0].data) == bytes(mode(0)[0].data)


def test_an_access_out_of_bounds_is_placed_even_when_the_host_ignores_it(session):
    execution = session.call(mode(6))
    first = execution.diagnostics[0]
    assert first.kind == "out_of_bounds"
    assert "beyond" in first.kernel
    assert (first.file, first.line) == ("kernel.cu", 16)
    assert (first.block, first.thread) == ((0, 0, 0), (0, 0, 0))


@pytest.mark.parametrize("choice", [IsolationChoice.PROCESS, IsolationChoice.AUTO])
@pytest.mark.parametrize(
    ("number", "seconds", "state"),
    [(1, 4, ExitState.TIMEOUT), (3, 30, ExitState.OUT_OF_MEMORY), (4, 4, ExitState.TIMEOUT)],
    ids=["host-loop", "hoard", "forks"],
)
def test_a_runaway_host_is_ended_and_nothing_is_left(misbehaving, settings, choice, number, seconds, state):  # noqa: PLR0917
    own = SandboxSettings(cache_dir=settings.cache_dir, isolation=choice)
    with open_candidate(
        misbehaving, H100, limits=Limits(wall_seconds=seconds, memory_bytes=1 << 30), settings=own
    ) as session:
        # A length of this test's own: whoever looks for what another one left would find what it has under way.
        length = 400 + 10 * number + (choice is IsolationChoice.AUTO)
        assert session.call(mode(number, length)).state is state
        found = subprocess.run(["/usr/bin/pgrep", "-f", f"sleep 601.{length}"], capture_output=True, check=False)
        assert found.stdout == b""


def test_no_launch_is_no_launch(session):
    execution = session.call(mode(13))
    assert execution.state is ExitState.OK
    assert execution.launches == ()
    assert not array(execution.outputs[0]).any()
    assert not array(execution.arguments_after[0]).any()


def test_arguments_come_back_only_when_asked_for(session):
    assert session.call(mode(0), return_arguments=False).arguments_after == ()


def test_noise_on_standard_output_is_kept_apart(session):
    assert session.call(mode(15)).state is ExitState.OK
    assert len(session.output) <= 128 << 10


def test_memory_that_nothing_wrote_is_not_last_calls_result(session):
    session.call(mode(0))
    stale = session.call(mode(16))
    tail = array(stale.outputs[0])[32:]
    assert not np.array_equal(tail, np.arange(32, 300, dtype="f4"))


def test_the_light_headers_hold_what_they_promise(extension, sources, settings):
    x = RNG.standard_normal((6, 10)).astype("f4")
    with open_candidate(extension((sources / "api.cu").read_text()), H100, settings=settings) as session:
        execution = session.call([tensor(x), tensor(x[0].copy())])
        assert (execution.state, execution.message) == (ExitState.OK, "")
        zeros, ones, full, counts, like, copy, bias = execution.outputs
        wrong = session.call([tensor(x[0].copy()), tensor(x)])
        assert "got [10] of Float on cuda:0" in wrong.message
        assert "takes 5 arguments, 1 were given" in session.call([tensor(x)]).message
    assert not array(zeros).any()
    assert (array(ones) == 1).all()
    assert array(ones).shape == (6,)
    assert full.dtype is DType.BFLOAT16
    assert (from_bfloat16(np.frombuffer(full.data, "u2")) == 2).all()
    assert (counts.dtype, array(counts).tolist()) == (DType.INT64, [7] * 5)
    assert not np.frombuffer(like.data, "u1").any()
    assert np.array_equal(array(copy), x)
    assert np.array_equal(array(bias), x[0])


def test_sixteen_bit_conversions_on_the_host_are_numpys(extension, sources, settings):
    patterns = np.arange(1 << 16, dtype="u2").view("f2")
    edges = np.array([0, -0.0, 1, 65504, 65519.9, 65520, 1e9, np.inf, -np.inf, 2**-24, 2**-25, 2**-14, 3e-8], "f4")
    random = RNG.integers(0, 1 << 32, 4000, dtype="u4").view("f4")
    numbers = np.concatenate([edges, -edges, random[~np.isnan(random)]])
    with open_candidate(extension((sources / "halves.cu").read_text()), H100, settings=settings) as session:
        execution = session.call([tensor(patterns), tensor(numbers)])
    assert execution.state is ExitState.OK, execution.message
    widened, halves, brains = execution.outputs
    np.testing.assert_array_equal(array(widened), patterns.astype("f4"))
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(array(halves), numbers.astype("f2"))
    np.testing.assert_array_equal(np.frombuffer(brains.data, "u2"), bfloat16(numbers))


RAW = Candidate(
    language=Language.RAW,
    files=(
        SourceFile(
            name="kernel.cu",
            text="""
extern "C" __global__ void partial(const float* x, float* sums, int cols) {
  float sum = 0.f;
  for (int c = threadIdx.x; c < cols; c += 32) sum += x[blockIdx.x * cols + c];
  atomicAdd(&sums[blockIdx.x], sum);
}
extern "C" __global__ void finish(const float* sums, float* y, float factor) { y[threadIdx.x] = factor * sums[threadIdx.x]; }
""",
        ),
        SourceFile(
            name="launch.toml",
            text="""
inputs = ["x"]
[symbols]
rows = "x.shape[0]"
[[outputs]]
name = "y"
dtype = "x"
shape = ["rows"]
[[scratch]]
name = "sums"
dtype = "float32"
shape = ["rows"]
zero = true
[[launches]]
kernel = "partial"
grid = ["rows"]
block = [32]
args = ["x", "sums", { int32 = "x.shape[1]" }]
[[launches]]
kernel = "finish"
grid = [1]
block = ["rows"]
args = ["sums", "y", { float32 = 0.5 }]
""",
        ),
    ),
)


def test_device_code_runs_as_its_specification_says(settings):
    x = RNG.standard_normal((9, 100)).astype("f4")
    with open_candidate(build(RAW, "sm_90", settings), H100, settings=settings) as session:
        execution = session.call([tensor(x)])
        timed = session.bench([[tensor(x)]], repeats=3)
        refused = session.call([tensor(np.ones((2000, 1), "f4"))])
        mistaken = session.call([tensor(np.ones(3, "f4"))])
    assert (execution.state, execution.message) == (ExitState.OK, "")
    np.testing.assert_allclose(array(execution.outputs[0]), 0.5 * x.sum(1), rtol=1e-4)
    assert [launch.kernel for launch in execution.launches] == ["partial", "finish"]
    assert bytes(execution.arguments_after[0].data) == x.tobytes()
    assert timed.samples_us[0] == pytest.approx(sum(launch.microseconds or 0 for launch in timed.launches))
    assert refused.state is ExitState.LAUNCH_ERROR
    assert mistaken.state is ExitState.LAUNCH_ERROR
    assert "1 axes" in mistaken.message
