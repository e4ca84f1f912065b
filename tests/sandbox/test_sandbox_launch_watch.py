"""What a trace of PyTorch's profiler says of a call; the trace is laid out as one that an H200 gave."""

import pytest

from sandbox.child.gpu_hold import END_KERNEL, HOLD_KERNEL
from sandbox.child.launch_watch import seen
from sandbox.evidence import HostOpKind
from sandbox.values import KernelResources

SOFTMAX = KernelResources(kernel="_Z7softmaxPKfPfi", registers=32, static_shared=128)
OWN = {"softmax(float const*, float*, int)": SOFTMAX}


def kernel(name, at, shared=0):
    arguments = {"device": 0, "stream": 7, "registers per thread": 31, "shared memory": shared}
    arguments |= {"grid": [12288, 1, 1], "block": [256, 1, 1], "est. achieved occupancy %": 100}
    return {"ph": "X", "cat": "kernel", "name": name, "pid": 0, "tid": 7, "ts": at, "dur": 28.383, "args": arguments}


def copy(direction, nbytes, at=1.0):
    name = f"Memcpy {direction} (Device -> Pageable)"
    return {"ph": "X", "cat": "gpu_memcpy", "name": name, "ts": at, "dur": 2.0, "args": {"bytes": nbytes}}


def test_launches_come_in_their_order_and_own_ones_under_the_builds_names():
    foreign = "void at::native::vectorized_elementwise_kernel<4>(int)"
    events = [
        {"ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "ts": 1.0, "dur": 5.0, "args": {}},
        kernel(foreign, 30.5),
        {"ph": "M", "name": "process_name", "pid": 0, "args": {"name": "python"}},
        kernel("softmax(float const*, float*, int)", 20.25, shared=1152),
    ]
    first, second = seen(events, OWN).launches
    assert (first.kernel, first.grid, first.block) == (SOFTMAX.kernel, (12288, 1, 1), (256, 1, 1))
    assert first.dynamic_shared == 1024
    assert first.microseconds is None  # a cold call under a profiler is no measurement
    assert second.kernel == foreign


def test_a_tensor_that_is_copied_to_the_host_is_told_and_a_scalar_is_not():
    assert seen([copy("DtoH", 64), copy("HtoD", 1 << 20), copy("DtoD", 1 << 20)], OWN).host_ops == ()
    (op,) = seen([copy("DtoH", 4096), copy("DtoH", 8), copy("DtoH", 1000)], OWN).host_ops
    assert (op.kind, op.nbytes, op.count, op.line) == (HostOpKind.TO_HOST, 5096, 2, None)


def test_a_kernel_that_outlasts_the_callers_stream_is_told():
    name = "softmax(float const*, float*, int)"
    hold, end = kernel(HOLD_KERNEL, 1.0), kernel(END_KERNEL, 60.0)
    before, beside = kernel(name, 31.0), kernel(name, 40.0)  # they take 28.383 us
    joined = seen([hold, before, end], OWN)
    assert joined.unjoined is None
    assert [launch.kernel for launch in joined.launches] == [SOFTMAX.kernel]
    assert seen([hold, before, beside, end], OWN).unjoined == name
    assert seen([before, beside], OWN).unjoined is None


@pytest.mark.parametrize("name", [HOLD_KERNEL, END_KERNEL])
def test_a_candidates_kernel_does_not_hide_behind_a_name_of_ours(name):
    own = {name: KernelResources(kernel=name, registers=32, static_shared=0)}
    found = seen([kernel(END_KERNEL, 60.0), kernel(name, 61.0)], own)
    assert found.unjoined == name
    assert name in {launch.kernel for launch in found.launches}


def test_an_idle_device_launched_nothing():
    assert seen([], OWN).launches == ()
