"""Tasks for judging in memory: no sources, only specs; the laboratory brings the functions."""

from collections.abc import Callable

import pytest

from sandbox.values import Candidate, Device, DeviceKind, Language, SourceFile
from tasks.values import Direction, DType, InputSpec, Purpose, ReferenceForm, Task, Tolerance, Visibility, Workload
from verifier.fake import InMemoryLaboratory
from verifier.values import Verdict
from verifier.verification import OnCheck, Verification

SpecsOf = Callable[[int, int], tuple[InputSpec, ...]]


def _x_only(rows: int, cols: int) -> tuple[InputSpec, ...]:
    return (InputSpec(name="x", shape=(rows, cols), dtype=DType.FLOAT32),)


@pytest.fixture
def make_task():
    def make(
        specs_of: SpecsOf = _x_only,
        sizes: tuple[tuple[int, int], ...] = ((8, 128), (5, 257), (1, 31)),
        *,
        direction: Direction = Direction.FORWARD,
        saved: tuple[str, ...] = (),
        gradients: tuple[str, ...] = (),
        tolerance: Tolerance | None = None,
    ) -> Task:
        workloads = tuple(
            Workload(
                name=f"rows={rows},cols={cols}",
                axes={"rows": rows, "cols": cols},
                inputs=specs_of(rows, cols),
                visibility=Visibility.HIDDEN if number else Visibility.PUBLIC,
                purpose=Purpose.VERIFY,
            )
            for number, (rows, cols) in enumerate(sizes)
        )
        bench = workloads[0].model_copy(update={"purpose": Purpose.BENCH, "name": "bench"})
        return Task(
            slug="in-memory",
            title="an op in memory",
            source="",
            form=ReferenceForm.FUNCTION,
            entry="op",
            direction=direction,
            workloads=(*workloads, bench),
            saved=saved,
            gradients=gradients,
            tolerance=tolerance,
        )

    return make


@pytest.fixture
def candidate() -> Candidate:
    text = "__global__ void fake_kernel() {}"
    return Candidate(language=Language.CUDA, files=(SourceFile(name="kernel.cu", text=text),))


@pytest.fixture
def device() -> Device:
    return Device(kind=DeviceKind.SIM, model="h100", arch="sm_90")


@pytest.fixture
def judge(candidate: Candidate, device: Device):
    def judge_in_memory(
        task: Task,
        laboratory: InMemoryLaboratory,
        seed: int = 7,
        *,
        on_check: OnCheck | None = None,
        of: Candidate = candidate,
        on: Device = device,
    ) -> Verdict:
        verification = Verification(task, of, on, seed=seed, laboratory=laboratory, on_check=on_check)
        return verification.verdict()

    return judge_in_memory
