"""Whole CUDA programs, compiled by nvcc and run on the simulated GPU; each checks its own results."""

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from simgpu.errors import UnsupportedError
from simgpu.program import ProgramError, run_program
from simgpu.specs import device_spec

PROGRAMS = Path(__file__).parent / "programs"
H100 = device_spec("h100")


@pytest.fixture
def run(nvcc_library):
    def run_named(name, *arguments, spec=H100):
        return run_program(nvcc_library((PROGRAMS / f"{name}.cu").read_text()), spec, [name, *arguments])

    return run_named


@pytest.mark.parametrize("name", ["vector_add", "reduction", "matrix_product", "scan", "streams", "managed"])
def test_a_correct_program_passes_its_own_check(run, name, capfd):
    assert run(name) == 0, capfd.readouterr()


def test_arguments_and_the_card_reach_the_program(run, capfd):
    assert run("vector_add", "1001", spec=device_spec("l4")) == 0
    assert capfd.readouterr().out == "1001 elements added on NVIDIA L4 24GB\n"


def test_a_fault_is_a_cuda_error_and_is_logged_with_its_place(run, capfd):
    assert run("out_of_bounds") == 42
    logged = capfd.readouterr().err
    assert "source.cu:6: out_of_bounds in fill, block (3, 0, 0), thread (232, 0, 0)" in logged


def test_a_crash_gives_the_shells_exit_code(run):
    assert run("crash") == 128 + 11


def test_a_program_that_needs_what_is_missing_has_no_verdict(run, capfd):
    with pytest.raises(UnsupportedError, match="cudaMallocArray is not implemented"):
        run("array")
    assert "cudaMallocArray" not in capfd.readouterr().err, "the caller says it, once"


def test_unwritten_values_that_go_nowhere_are_no_fault(run, capfd):
    assert run("unguarded_sums") == 0
    assert capfd.readouterr().err == ""


def test_without_checks_a_program_runs_as_on_a_card(nvcc_library, capfd):
    library = nvcc_library((PROGRAMS / "missing_barrier.cu").read_text())
    assert run_program(library, H100, ["shift"]) == 2
    assert "source.cu:8: data_race" in capfd.readouterr().err
    assert run_program(library, H100, ["shift"], checks=False) == 0
    assert capfd.readouterr().err == ""


def test_launches_are_told_with_their_lines_when_asked_for(nvcc_library):
    library = nvcc_library((PROGRAMS / "reduction.cu").read_text())
    seen = []
    assert run_program(library, H100, ["reduction"], on_launch=seen.append) == 0
    (report,) = seen
    assert report.kernel == "_Z3sumPKiiPy"
    assert report.modelled.microseconds > H100.launch_overhead_us
    assert sum(line.barriers for line in report.lines) == report.counters.barriers == 24 * 8 * 9
    assert {line.line for line in report.lines if line.atomic_lanes} == {22, 23}


def test_a_library_without_main_is_refused(nvcc_library):
    with pytest.raises(ProgramError, match="has no main"):
        run_program(nvcc_library("int not_main() { return 0; }"), H100, ["program"])


def test_a_file_that_is_no_library_is_refused(tmp_path):
    (tmp_path / "text.so").write_text("not a library")
    with pytest.raises(ProgramError, match=r"text\.so"):
        run_program(tmp_path / "text.so", H100, ["program"])


@pytest.mark.skipif(sys.platform != "linux", reason="prctl(2) is Linux'")
def test_a_program_does_not_outlive_whoever_runs_it(nvcc_library):
    library = nvcc_library(r"""
        #include <cstdio>
        #include <unistd.h>
        int main() { printf("%d\n", getpid()); fflush(stdout); for (;;) pause(); }
    """)
    call = "import sys; from pathlib import Path; from simgpu.program import run_program as run"
    call += f"; from simgpu.specs import device_spec as card; run(Path({str(library)!r}), card('h100'), ['waits'])"
    with subprocess.Popen([sys.executable, "-c", call], stdout=subprocess.PIPE, text=True) as caller:
        program = os.pidfd_open(int(caller.stdout.readline()))
        caller.terminate()
    assert select.select([program], [], [], 60)[0], "the program still runs"
    os.close(program)
