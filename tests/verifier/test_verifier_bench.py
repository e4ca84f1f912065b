import math

import numpy as np
import pytest

from sandbox.values import BuildError, BuildErrorKind, Device, DeviceKind, ExitState
from simgpu.specs import device_spec
from tasks.errors import CandidateError, UserError
from tasks.values import Direction, EagerOp, Purpose
from verifier.bench import bench
from verifier.fake import FakeFaultError, InMemoryLaboratory
from verifier.values import Basis

MIB = 1 << 20
OPS = (EagerOp(name="aten::relu", shapes=((8, 128),), bytes_read=4096, bytes_written=4096, flops=1024),)


def _laboratory(kernel=lambda call: (np.maximum(call.arguments[0], 0),), **options) -> InMemoryLaboratory:
    options.setdefault("eager_ops", OPS)
    return InMemoryLaboratory(lambda arrays: (np.maximum(arrays["x"], 0),), kernel, **options)


def test_a_modelled_time_is_set_against_the_eager_baseline_and_the_floor(make_task, candidate, device):
    measurement = bench(make_task(), candidate, device, seed=1, laboratory=_laboratory(microseconds=(3.0,)))
    (timing,) = measurement.timings
    assert measurement.basis is Basis.MODELLED
    assert measurement.device == "sim:h100"
    assert "cost model" in measurement.fingerprint
    assert measurement.speedup_interval is None
    assert timing.median_us == 3.0
    assert timing.baseline_us > device_spec("h100").launch_overhead_us
    assert timing.speedup == pytest.approx(timing.baseline_us / 3.0)
    assert timing.roofline_fraction >= timing.floor_us / 3.0
    assert 0 < timing.roofline_fraction < 1
    assert timing.launches


def test_the_speed_up_is_the_weighted_geometric_mean(make_task, candidate, device):
    task = make_task()
    heavy = task.workloads[-1].model_copy(update={"name": "heavy", "weight": 3.0})
    task = task.model_copy(update={"workloads": (*task.workloads, heavy)})
    measurement = bench(task, candidate, device, seed=1, laboratory=_laboratory())
    logs = [math.log(timing.speedup) for timing in measurement.timings]
    assert math.log(measurement.speedup) == pytest.approx((logs[0] + 3 * logs[1]) / 4)


def test_a_time_below_what_writing_the_results_takes_is_no_record(make_task, candidate, device):
    huge = (EagerOp(name="aten::relu", shapes=(), bytes_read=4096, bytes_written=1024 * MIB, flops=0),)
    with pytest.raises(CandidateError, match="cannot have done the work"):
        bench(make_task(), candidate, device, seed=1, laboratory=_laboratory(eager_ops=huge, microseconds=(5.0,)))


def test_a_candidate_that_fails_at_a_bench_size_has_no_time(make_task, candidate, device):
    def kernel(call):
        raise FakeFaultError(ExitState.TIMEOUT, "60 s are over")

    with pytest.raises(CandidateError, match="timeout at bench: 60 s are over"):
        bench(make_task(), candidate, device, seed=1, laboratory=_laboratory(kernel))
    with pytest.raises(CandidateError, match="nothing to time"):
        bench(make_task(), candidate, device, seed=1, laboratory=_laboratory(microseconds=()))


def test_a_build_error_reaches_the_caller(make_task, candidate, device):
    error = BuildError(BuildErrorKind.SYNTAX, "no", "log")
    with pytest.raises(BuildError):
        bench(make_task(), candidate, device, seed=1, laboratory=_laboratory(build_error=error))


def test_a_task_without_bench_workloads_is_refused_in_a_sentence(make_task, candidate, device):
    task = make_task()
    checked = tuple(w for w in task.workloads if w.purpose is Purpose.VERIFY)
    with pytest.raises(UserError, match="no bench workloads"):
        bench(task.model_copy(update={"workloads": checked}), candidate, device, seed=1, laboratory=_laboratory())


GPU = Device(kind=DeviceKind.CUDA, model="NVIDIA H100 80GB HBM3", arch="sm_90")


def test_on_a_gpu_candidate_and_eager_are_sampled_in_turns_and_the_speed_up_has_an_interval(make_task, candidate):
    mine, eager = (4.0, 5.0, 6.0, 5.0, 5.0), (9.0, 10.0, 11.0, 10.0, 30.0)
    laboratory = _laboratory(microseconds=mine, eager_microseconds=eager)
    measurement = bench(make_task(), candidate, GPU, seed=1, laboratory=laboratory)
    (timing,) = measurement.timings
    assert measurement.basis is Basis.MEASURED
    assert measurement.device == "cuda:0"
    assert "PyTorch" in measurement.fingerprint
    assert timing.samples_us == 2 * mine
    assert timing.baseline_samples_us == 2 * eager
    assert (timing.median_us, timing.baseline_us) == (5.0, 10.0)
    assert measurement.speedup == pytest.approx(2.0)
    low, high = measurement.speedup_interval
    assert low <= 2.0 <= high
    assert low < high
    assert measurement == bench(make_task(), candidate, GPU, seed=1, laboratory=laboratory)


def test_a_measured_time_below_the_floor_is_no_record(make_task, candidate):
    huge = (EagerOp(name="aten::relu", shapes=(), bytes_read=4096, bytes_written=1024 * MIB, flops=0),)
    with pytest.raises(CandidateError, match="cannot have done the work"):
        bench(make_task(), candidate, GPU, seed=1, laboratory=_laboratory(eager_ops=huge, microseconds=(5.0,)))


def test_a_backward_candidate_is_timed_on_gradients_and_saved_tensors(make_task, candidate, device):
    seen = []

    def kernel(call):
        seen.append([a.shape for a in call.arguments])
        return (call.arguments[0] * (call.arguments[1] > 0),)

    laboratory = _laboratory(kernel, backward=lambda arrays, grads: (grads[0] * (arrays["x"] > 0),))
    task = make_task(direction=Direction.BACKWARD, saved=("output",), gradients=("x",))
    bench(task, candidate, device, seed=1, laboratory=laboratory)
    assert seen == [[(8, 128), (8, 128)]]
