"""KernelBench's `ModelNew` in the sandbox: inline extensions built on demand, state given by name."""

from pathlib import Path

import numpy as np
import pytest

from sandbox.build import build
from sandbox.build.modelnew import extension_candidate, extension_flags
from sandbox.candidate import open_candidate
from sandbox.devices import parse_device
from sandbox.evidence import ExtensionRequest
from sandbox.values import Build, BuildError, BuildErrorKind, Candidate, ExitState, Language, SourceFile, Tensor
from tasks.values import CallItem, Construction, DType

H100 = parse_device("sim:h100")
INLINE = (Path(__file__).parent / "python" / "inline.py").read_text(encoding="utf-8")
SHAPE = (5, 37)


def candidate(text: str) -> Candidate:
    return Candidate(language=Language.MODELNEW, files=(SourceFile(name="kernel.py", text=text),))


def tensor(values: np.ndarray) -> Tensor:
    return Tensor(dtype=DType(values.dtype.name), shape=values.shape, data=values.tobytes())


def construction(**changes: object) -> Construction:
    made = Construction(
        positional=(SHAPE[1],),
        named={"offset": 0.5},
        call=(CallItem(tensor="x"), CallItem(fixed=True)),
        inputs=("x",),
        state=("weight", "shift"),
    )
    return made.model_copy(update=changes)


@pytest.fixture(scope="module")
def inline(settings) -> Build:
    return build(candidate(INLINE), "sm_90", settings)


@pytest.fixture(scope="module")
def session(inline, settings):
    with open_candidate(inline, H100, settings=settings) as opened:
        yield opened


RNG = np.random.default_rng(3)
X, W, B = (RNG.standard_normal(shape).astype("f4") for shape in (SHAPE, SHAPE[1:], SHAPE[1:]))


def test_the_inline_extension_is_part_of_the_build(inline, settings):
    assert sorted("affine_kernel" in kernel.kernel for kernel in inline.kernels) == [False, True]
    assert all(kernel.registers > 0 for kernel in inline.kernels)
    assert "ptxas info" in inline.log
    assert inline.jit == ()


def test_a_model_is_constructed_given_its_state_and_called(session):
    execution = session.call([tensor(X), tensor(W), tensor(B)], counters=True, construction=construction())
    assert (execution.state, execution.message) == (ExitState.OK, "")
    got = np.frombuffer(execution.outputs[0].data, "f4").reshape(SHAPE)
    np.testing.assert_allclose(got, 2 * X * W + B + 1, rtol=1e-6, atol=1e-6)
    assert [bytes(after.data) for after in execution.arguments_after] == [X.tobytes(), W.tobytes(), B.tobytes()]
    assert [launch.grid for launch in execution.launches] == [(2, 1, 1), (2, 1, 1)]
    assert {launch.kernel for launch in execution.launches} == {kernel.kernel for kernel in execution.kernels}
    assert execution.host_ops == ()
    modelled = sum(launch.microseconds or 0 for launch in execution.launches)
    assert execution.samples_us[0] == pytest.approx(modelled)


def test_a_model_is_new_at_every_call(session):
    first = session.call([tensor(X), tensor(W), tensor(B)], construction=construction())
    other = session.call([tensor(X), tensor(B), tensor(W)], construction=construction(named={"offset": 0.0}))
    again = session.call([tensor(X), tensor(W), tensor(B)], construction=construction())
    assert bytes(first.outputs[0].data) == bytes(again.outputs[0].data) != bytes(other.outputs[0].data)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"state": ("weight", "other")}, "must have the model's parameters and buffers (weight, other)"),
        ({"state": ("shift",), "inputs": ("x", "y")}, "it has weight, shift"),
        ({"positional": (7,)}, "`weight` is torch.float32 [7], the task's is torch.float32 [37]"),
        ({"named": {"wrong": 1}}, "TypeError"),
    ],
    ids=["name", "lacking", "shape", "constructor"],
)
def test_a_mismatch_with_the_tasks_model_is_said(session, changes, said):
    execution = session.call([tensor(X), tensor(W), tensor(B)], construction=construction(**changes))
    assert execution.state is ExitState.LAUNCH_ERROR
    assert said in execution.message


def test_state_without_common_names_is_given_in_order(session):
    execution = session.call([tensor(X), tensor(W), tensor(B)], construction=construction(state=("a", "b")))
    assert execution.state is ExitState.OK


def test_without_a_construction_nothing_is_called(session):
    assert "how it is constructed" in session.call([tensor(X)]).message


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("x = 1\n", BuildErrorKind.SPEC, "defines no `class ModelNew`"),
        (INLINE.replace("x[i] * w", "x[i] * undeclared_w"), BuildErrorKind.UNDECLARED, "undeclared_w"),
        (INLINE.replace('"-O3"', '"-include/etc/passwd"'), BuildErrorKind.SPEC, "flag `-include/etc/passwd`"),
        (INLINE.replace("verbose=False", "extra_ldflags=['-lcublas']"), BuildErrorKind.OTHER, "-lcublas"),
    ],
    ids=["class", "compiler", "flag", "linker"],
)
def test_a_build_that_fails_says_why(settings, text, kind, said):
    with pytest.raises(BuildError) as caught:
        build(candidate(text), "sm_90", settings)
    assert said in caught.value.summary
    assert caught.value.kind is kind


def test_flags_that_ask_for_nothing_are_taken(settings):
    text = INLINE.replace(
        "verbose=False", "extra_ldflags=['', '-lcudart', '-L/usr/local/cuda/lib64'], extra_cflags=['']"
    )
    assert text != INLINE
    assert build(candidate(text.replace('"-O3"', '"-O3", ""')), "sm_90", settings).kernels


def test_flags_are_passed_dropped_or_refused():
    given = ["-O3", "--use_fast_math", "-DX=3", "-gencode", "arch=compute_80,code=sm_80", "-Xptxas", "-v", "-lineinfo",
             "--maxrregcount=64", "-std=c++20", "-Xcompiler", "-fPIC"]  # fmt: skip
    assert extension_flags(given) == ("--use_fast_math", "--maxrregcount=64")
    for refused in ("@file", "-include", "-I/etc", "-ccbin=/tmp/x", "-optf", "--options-file=x", "-o", "-Xlinker", "a\n-b",
                    "-Xcompiler=-specs=x", "--keep-dir", "-dlink", "x.o", "-DX=$(id)", "-D X;Y"):  # fmt: skip
        with pytest.raises(BuildError, match="is not taken"):
            extension_flags([refused])


def test_an_extension_is_a_cuda_candidate_of_its_own():
    request = ExtensionRequest(name="e", source="SOURCE", functions=("one", "two"), flags=("-DA", "-DB=2"))
    made = extension_candidate(request)
    assert made.entry == "one"
    text = made.files[0].text
    assert text.startswith("#define A 1\n#define B 2\n")
    assert text.index("SOURCE") < text.index('m.def("one", &one); m.def("two", &two);')
    assert "KERNELWRIGHT_EXPORT_BINDING(two)" in text
    with pytest.raises(BuildError, match="function names"):
        extension_candidate(request.model_copy(update={"functions": ("one;}",)}))
