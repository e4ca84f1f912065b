"""One build against PyTorch's full headers: the same sources, unmodified, give the same results, bit for bit."""

from __future__ import annotations

import pytest
import torch

from sandbox.build import build
from sandbox.candidate import open_candidate
from sandbox.child.reference import from_torch
from sandbox.devices import parse_device
from sandbox.settings import HeaderChoice
from sandbox.values import Candidate, ExitState, HeaderKind, Language, SourceFile
from tests.sandbox.extensions.corpus import CASES
from tests.sandbox.extensions.unit import exported, unit

H100 = parse_device("sim:h100")

SAMPLE = (
    "lltm_cell", "library_schema", "py_arg_defaults", "views_strides", "at_cuda_parts", "outputs_tuple", "likes", "guards",
    "host_table",
)  # fmt: skip
"""Sources that say most about the headers; `benchmarks/headers.py` compares all of them."""

# What the light headers lack, and two ways to leave the work to PyTorch.
ASKS_FOR_MORE = """
#include <c10/util/accumulate.h>
namespace more {
__global__ void scale(const float* x, float* y, int64_t n) {
  const int64_t i = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x;
  if (i < n) y[i] = 2.0f * x[i];
}
at::Tensor needs_full(at::Tensor x) {
  auto y = at::empty_like(x);
  const int64_t n = c10::multiply_integers(x.sizes());
  scale<<<(n + 127) / 128, 128>>>(x.data_ptr<float>(), y.data_ptr<float>(), n);
  return y;
}
at::Tensor on_the_card(at::Tensor x) { return at::matmul(x, x); }
at::Tensor on_the_host(at::Tensor x) {
  auto y = at::empty_like(x);
  auto in = at::from_blob(x.data_ptr(), x.sizes(), at::kFloat), out = at::from_blob(y.data_ptr(), y.sizes(), at::kFloat);
  at::mul_out(out, in, at::scalar_tensor(2.0f));
  return y;
}
at::Tensor to_the_host(at::Tensor x) { return x.cpu(); }
}  // namespace more
KERNELWRIGHT_EXPORT_AS(needs_full, ::more::needs_full)
KERNELWRIGHT_EXPORT_AS(on_the_card, ::more::on_the_card)
KERNELWRIGHT_EXPORT_AS(on_the_host, ::more::on_the_host)
KERNELWRIGHT_EXPORT_AS(to_the_host, ::more::to_the_host)
"""


@pytest.fixture(scope="module")
def full(settings):
    """One build of everything here: parsing PyTorch's headers costs a minute of CPU."""
    candidate = unit((case for case in CASES if case.name in SAMPLE), ASKS_FOR_MORE)
    return build(candidate, "sm_90", settings.model_copy(update={"headers": HeaderChoice.AUTO}))


def run(settings, built, entry, arguments):
    with open_candidate(built.model_copy(update={"entry": entry}), H100, settings=settings) as session:
        return session.call([from_torch(argument) for argument in arguments])


def test_the_build_says_whose_headers_it_used_and_why(full):
    assert full.headers is HeaderKind.FULL
    light, last = full.attempts
    assert (light.headers, last.headers) == (HeaderKind.LIGHT, HeaderKind.FULL)
    assert "c10/util/accumulate.h" in light.failure
    assert not last.failure
    assert 0 < light.seconds < last.seconds
    assert full.seconds == pytest.approx(light.seconds + last.seconds)


@pytest.mark.parametrize("case", [case for case in CASES if case.name in SAMPLE], ids=exported)
def test_results_are_those_of_the_light_headers_bit_for_bit(settings, full, case):
    source = SourceFile(name=f"{case.name}.cu", text=case.text())
    light = build(
        Candidate(language=Language.CUDA, files=(source,), entry=case.entry),
        "sm_90",
        settings.model_copy(update={"headers": HeaderChoice.LIGHT}),
    )
    one = run(settings, light, case.entry, case.drawn())
    other = run(settings, full, exported(case), case.drawn())
    assert (one.state, other.state, other.message) == (ExitState.OK, ExitState.OK, "")
    assert [(item.dtype, item.shape, bytes(item.data)) for item in one.outputs] == [
        (item.dtype, item.shape, bytes(item.data)) for item in other.outputs
    ]
    assert other.diagnostics == ()


def test_a_source_that_needs_more_runs(settings, full):
    x = torch.randn(7, 9)
    execution = run(settings, full, "needs_full", [x])
    assert (execution.state, execution.message) == (ExitState.OK, "")
    assert bytes(execution.outputs[0].data) == bytes(from_torch(2 * x).data)


@pytest.mark.parametrize(
    ("entry", "said"),
    [("on_the_card", "aten::"), ("on_the_host", "leaves work to PyTorch: it calls aten::"), ("to_the_host", "cpu")],
)
def test_work_that_is_left_to_pytorch_gives_no_result(settings, full, entry, said):
    execution = run(settings, full, entry, [torch.ones(8, 8)])
    assert execution.state is ExitState.LAUNCH_ERROR
    assert said in execution.message
    assert execution.outputs == ()
