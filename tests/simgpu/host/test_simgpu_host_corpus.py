"""A corpus of whole CUDA programs: each passes its own check, and fails it when one value of its result is spoiled."""

from pathlib import Path

import pytest

from simgpu.program import run_program
from simgpu.specs import device_spec

PROGRAMS = Path(__file__).parent / "programs"
H100 = device_spec("h100")
CORPUS = (
    "adamw", "attention", "bitonic_sort", "black_scholes", "convolution", "cross_entropy", "encoder", "functors", "gelu",
    "graphs", "grid_sync", "half_dot", "histogram", "host_memory", "layernorm", "merge_sort", "monte_carlo", "nbody",
    "softmax", "stencil", "tensor_product", "transpose",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", CORPUS)
def test_a_program_passes_its_check_and_a_spoiled_result_fails_it(cached_program, name, capfd, monkeypatch):
    program = cached_program(PROGRAMS / f"{name}.cu")
    assert run_program(program, H100, [name]) == 0, capfd.readouterr()
    assert "values right" in capfd.readouterr().out
    monkeypatch.setenv("SPOIL_RESULT", "1")
    assert run_program(program, H100, [name]) == 1, capfd.readouterr()


def test_a_kernels_lines_keep_their_place_and_an_assertion_sticks(cached_program, capfd):
    code = run_program(cached_program(PROGRAMS / "printing.cu"), H100, ["printing"])
    out, err = capfd.readouterr()
    assert code == 0, err
    assert out == "before\nkernel 1, block, 0.00\nbetween\nkernel 2, block, 0.00\nafter\n"
    assert "printing.cu:9: assertion in insist" in err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["stencil", "host_memory"])
def test_a_default_stream_per_thread_binds_to_names_of_its_own(cached_program, name, capfd):
    program = cached_program(PROGRAMS / f"{name}.cu", "-default-stream", "per-thread")
    assert run_program(program, H100, [name]) == 0, capfd.readouterr()


def test_launches_beyond_a_cards_limits_are_refused_with_its_codes(cached_program, capfd):
    program = cached_program(PROGRAMS / "launch_limits.cu")
    assert run_program(program, device_spec("a100"), ["launch_limits"]) == 0, capfd.readouterr()


def test_a_fault_is_returned_by_every_call_until_the_device_is_reset(cached_program, capfd):
    code = run_program(cached_program(PROGRAMS / "sticky_errors.cu"), H100, ["sticky_errors"])
    out, err = capfd.readouterr()
    assert code == 0, (out, err)
    assert err.count("sticky_errors.cu:4: out_of_bounds in store") == 1
