import numpy as np
import pytest

from sandbox.values import (
    BuildError,
    BuildErrorKind,
    Candidate,
    Device,
    DeviceKind,
    ExitState,
    Language,
    Launch,
    SourceFile,
)
from tasks.errors import UserError
from tasks.values import Direction, Domain, DomainKind, DType, InputSpec, Tolerance
from verifier.fake import FakeFaultError, InMemoryLaboratory
from verifier.values import EvidenceTier, Stage, Status, Verdict


def _softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def _reference(arrays):
    return (_softmax(arrays["x"]),)


def _laboratory(kernel=lambda call: (_softmax(call.arguments[0]),), **options) -> InMemoryLaboratory:
    return InMemoryLaboratory(_reference, kernel, **options)


def test_a_right_kernel_passes_with_figures_for_every_stage(make_task, judge):
    verdict = judge(make_task(), _laboratory())
    assert verdict.passed
    assert set(verdict.seconds) == set(Stage)
    assert all(check.passed for check in verdict.checks)
    names = {check.name for check in verdict.checks}
    assert {"guard", "build", "outputs", "arguments", "launches", "stores", "determinism", "controls"} <= names
    assert {"values[normal]", "values[large]", "values[impulses]"} <= names


def test_a_verdict_names_how_it_was_held_and_an_old_one_says_that_it_does_not(make_task, judge):
    verdict = judge(make_task(), _laboratory())
    assert verdict.isolation == "in memory"
    old = verdict.model_dump_json(exclude={"isolation"})
    assert Verdict.model_validate_json(old).isolation == "not recorded"


def test_the_same_seed_gives_the_same_checks_and_another_seed_other_values(make_task, judge):
    first, second, other = (judge(make_task(), _laboratory(), seed) for seed in (5, 5, 6))

    def judged(verdict):
        return [check for check in verdict.checks if not check.name.startswith("run")]

    assert judged(first) == judged(second)
    assert judged(first) != judged(other)
    assert first.seed == 5


def test_checks_are_told_as_they_are_known(make_task, judge):
    told = []
    verdict = judge(make_task(), _laboratory(), on_check=told.append)
    assert tuple(told) == verdict.checks


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (ExitState.LAUNCH_ERROR, Status.LAUNCH_ERROR),
        (ExitState.MEMORY_ERROR, Status.MEMORY_ERROR),
        (ExitState.UNSUPPORTED, Status.UNSUPPORTED),
        (ExitState.TIMEOUT, Status.TIMEOUT),
        (ExitState.OUT_OF_MEMORY, Status.OUT_OF_MEMORY),
        (ExitState.CRASHED, Status.CRASHED),
        (ExitState.UNFINISHED, Status.DATA_RACE),
    ],
)
def test_a_call_that_does_not_come_back_decides_the_verdict(state, status, make_task, judge):
    def kernel(call):
        raise FakeFaultError(state, "it ended")

    verdict = judge(make_task(), _laboratory(kernel))
    assert verdict.status is status
    assert verdict.checks[-1].detail == "it ended"


def test_a_build_error_stops_the_way_before_anything_runs(make_task, judge):
    error = BuildError(BuildErrorKind.SYNTAX, "kernel.cu(3): expected a ';'", "log")
    verdict = judge(make_task(), _laboratory(build_error=error))
    assert verdict.status is Status.COMPILE_ERROR
    assert verdict.checks[-1].detail == "kernel.cu(3): expected a ';'"
    assert "candidate" not in verdict.seconds


def test_hard_evidence_forbids_before_the_build(make_task, judge):
    text = 'torch::Tensor forward(torch::Tensor a) { system("id"); return a; }'
    culprit = Candidate(language=Language.CUDA, files=(SourceFile(name="kernel.cu", text=text),))
    verdict = judge(make_task(), _laboratory(), of=culprit)
    assert verdict.status is Status.FORBIDDEN
    assert [found.tier for found in verdict.evidence] == [EvidenceTier.HARD]
    assert "build" not in verdict.seconds


@pytest.mark.parametrize(
    ("kernel", "status"),
    [
        (lambda call: (_softmax(call.arguments[0]).ravel(),), Status.WRONG_SHAPE),
        (lambda call: (_softmax(call.arguments[0]),) * 2, Status.WRONG_SHAPE),
        (lambda _call: (), Status.WRONG_SHAPE),
        (lambda call: (_softmax(call.arguments[0]).astype(np.float64),), Status.WRONG_DTYPE),
        (lambda call: (_softmax(call.arguments[0]).astype(np.float16),), Status.WRONG_DTYPE),
        (lambda call: (call.arguments[0],), Status.WRONG_VALUES),
        (lambda call: (np.zeros_like(call.arguments[0]),), Status.WRONG_VALUES),
    ],
)
def test_an_answer_of_another_form_or_value_fails(kernel, status, make_task, judge):
    assert judge(make_task(), _laboratory(kernel)).status is status


def test_a_scalar_is_not_a_vector_of_one(make_task, judge):
    laboratory = InMemoryLaboratory(
        lambda arrays: (np.asarray(arrays["x"].sum()),), lambda call: (call.arguments[0].sum().reshape(1),)
    )
    assert judge(make_task(), laboratory).status is Status.WRONG_SHAPE


def test_a_changed_argument_is_found_even_by_one_bit(make_task, judge):
    def kernel(call):
        out = _softmax(call.arguments[0])
        call.arguments[0].reshape(-1).view(np.uint32)[-1] ^= 1
        return (out,)

    assert judge(make_task(), _laboratory(kernel)).status is Status.MUTATED_INPUT


def test_an_argument_changed_only_when_it_is_repeated_is_found(make_task, judge):
    seen = set()

    def kernel(call):
        out = _softmax(call.arguments[0])
        values = call.arguments[0].tobytes()
        if values in seen:
            call.arguments[0].reshape(-1).view(np.uint32)[-1] ^= 1
        seen.add(values)
        return (out,)

    assert judge(make_task(), _laboratory(kernel)).status is Status.MUTATED_INPUT


def test_a_result_kept_from_the_first_call_fails(make_task, judge):
    kept = []

    def kernel(call):
        kept.append(_softmax(call.arguments[0]))
        return (kept[0],)

    verdict = judge(make_task(), _laboratory(kernel))
    assert verdict.status is Status.WRONG_VALUES


def test_an_order_dependent_result_is_nondeterministic(make_task, judge):
    def kernel(call):
        out = _softmax(call.arguments[0])
        return (out if call.schedule_seed is None else out * np.float32(1.01),)

    verdict = judge(make_task(), _laboratory(kernel))
    assert verdict.status is Status.NONDETERMINISTIC
    assert verdict.checks[-1].name == "determinism"


def test_rounding_that_changes_with_the_order_is_honest(make_task, judge):
    def kernel(call):
        rng = np.random.default_rng(call.schedule_seed)
        x = call.arguments[0]
        return (x[:, rng.permutation(x.shape[1])].cumsum(1, dtype=np.float32)[:, -1],)

    laboratory = InMemoryLaboratory(lambda arrays: (arrays["x"].sum(-1),), kernel)
    verdict = judge(make_task(), laboratory)
    assert verdict.passed
    assert any(check.detail == "repetitions differ in rounding only" for check in verdict.checks)


def test_no_launch_of_an_own_kernel_is_cheating(make_task, judge):
    foreign = Launch(kernel="gemm_from_elsewhere", grid=(1, 1, 1), block=(32, 1, 1), dynamic_shared=0)
    for launches in ((), (foreign,)):
        assert judge(make_task(), _laboratory(launches=launches)).status is Status.CHEATING


def test_a_decoy_launch_that_wrote_next_to_nothing_is_cheating(make_task, judge):
    decoy = Launch(
        kernel="fake_kernel", grid=(1, 1, 1), block=(1, 1, 1), dynamic_shared=0, counters={"global_store_bytes": 4.0}
    )
    assert judge(make_task(), _laboratory(launches=(decoy,))).status is Status.CHEATING
    wrong = _laboratory(lambda call: (call.arguments[0] * 2,), launches=(decoy,))
    assert judge(make_task(), wrong).status is Status.WRONG_VALUES


def test_a_real_gpu_is_given_no_schedule_and_tells_what_was_launched(make_task, judge):
    schedules = []

    def kernel(call):
        schedules.append(call.schedule_seed)
        return (_softmax(call.arguments[0]),)

    gpu = Device(kind=DeviceKind.CUDA, model="NVIDIA L4", arch="sm_89")
    assert judge(make_task(), _laboratory(kernel), on=gpu).passed
    assert set(schedules) == {None}
    assert judge(make_task(), _laboratory(kernel, launches=()), on=gpu).status is Status.CHEATING


def test_where_a_driver_hides_launches_the_verdict_says_so_and_does_not_accuse(make_task, judge):
    gpu = Device(kind=DeviceKind.CUDA, model="NVIDIA L4", arch="sm_89")
    kernel = lambda call: (_softmax(call.arguments[0]),)  # noqa: E731
    verdict = judge(make_task(), _laboratory(kernel, launches=(), watched=False), on=gpu)
    assert verdict.passed
    (told,) = {check.detail for check in verdict.checks if check.name == "launches"}
    assert told.startswith("not observed")


def test_an_empty_output_needs_no_launch(make_task, judge):
    task = make_task(sizes=((8, 128), (0, 16)))

    def kernel(call):
        return (call.arguments[0] * 2,)

    laboratory = InMemoryLaboratory(lambda arrays: (arrays["x"] * 2,), kernel)
    assert judge(task, laboratory).passed


def test_hidden_workloads_are_judged_last_and_marked(make_task, judge):
    def kernel(call):
        x = call.arguments[0]
        return (_softmax(x) if x.shape[1] == 128 else _softmax(x) * 2,)

    verdict = judge(make_task(), _laboratory(kernel))
    assert verdict.status is Status.WRONG_VALUES
    assert not verdict.checks[-1].public
    assert verdict.checks[-1].workload == "rows=5,cols=257"


def test_a_task_whose_output_never_varies_is_the_users_mistake(make_task, judge):
    task = make_task(tolerance=Tolerance(atol=1.0, rtol=0.0))
    with pytest.raises(UserError, match="cannot be verified"):
        judge(task, InMemoryLaboratory(lambda a: (np.tanh(a["x"] * 1e-5),), lambda c: (c.arguments[0] * 0,)))
    with pytest.raises(UserError, match="cannot be verified"):
        judge(make_task(), InMemoryLaboratory(lambda a: (a["x"] * np.nan,), lambda c: (c.arguments[0],)))


def test_identity_on_masks_and_indices_respects_their_domains(make_task, judge):
    seen = []

    def specs(rows, cols):
        return (
            InputSpec(name="x", shape=(rows, cols), dtype=DType.FLOAT32),
            InputSpec(name="keep", shape=(rows, cols), dtype=DType.BOOL, domain=Domain(kind=DomainKind.MASK)),
            InputSpec(name="row", shape=(4,), dtype=DType.INT64, domain=Domain(kind=DomainKind.INDEX, high=rows)),
        )

    def op(x, keep, row):
        seen.append(row)
        return (np.where(keep, x, 0).astype(x.dtype)[row],)

    task = make_task(specs)
    laboratory = InMemoryLaboratory(lambda arrays: op(*arrays.values()), lambda call: op(*call.arguments))
    assert judge(task, laboratory).passed
    assert max(int(row.max()) for row in seen) == 7


def test_a_backward_candidate_gets_gradients_then_saved_tensors(make_task, judge):
    def gradients(arrays, grads):
        y = _softmax(arrays["x"])
        return (y * (grads[0] - (grads[0] * y).sum(-1, keepdims=True)),)

    def kernel(call):
        grad, y, x = call.arguments
        assert x.shape == y.shape
        return (y * (grad - (grad * y).sum(-1, keepdims=True)),)

    task = make_task(direction=Direction.BACKWARD, saved=("output", "x"), gradients=("x",))
    laboratory = InMemoryLaboratory(_reference, kernel, backward=gradients)
    assert judge(task, laboratory).passed
