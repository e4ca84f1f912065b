"""Fixtures of the web's tests: a real server on a free port, over a real archive and a backend that starts nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn

from dataset.archive import Archive
from dataset.values import Message, Operator, RunConfig, RunRecord, RunState, Trace, TraceKind
from sandbox.values import Basis, Candidate, Diagnostic, Finding, Language, Launch, SourceFile
from tasks.errors import UserError
from tasks.values import (
    Axis,
    Direction,
    DType,
    Family,
    InputSpec,
    OutputProperty,
    PropertyKind,
    Provenance,
    Purpose,
    ReferenceForm,
    Task,
    Visibility,
    Workload,
)
from verifier.values import Check, Evidence, EvidenceTier, Measurement, Status, Verdict, WorkloadTiming
from web.address import listen
from web.app import create_app

SOFTMAX = """import torch

rows = 4096
cols = 1024


def softmax(x):
    return torch.softmax(x, dim=-1)


def get_inputs():
    return [torch.randn(rows, cols)]
"""

KERNEL = """#include <torch/extension.h>

// One block per row: the row stays in registers between the passes.
template <int kThreads>
__global__ void softmax_rows(const float* __restrict__ x, float* __restrict__ y, int cols) {{
    __shared__ float partial[kThreads / 32];
    const float* row = x + static_cast<long>(blockIdx.x) * cols;
    float top = -INFINITY;
    for (int i = threadIdx.x; i < cols; i += kThreads) {{
        top = fmaxf(top, row[i]);  // variant {variant} <script>alert("no")</script>
    }}
    y[static_cast<long>(blockIdx.x) * cols + threadIdx.x] = top;
}}

torch::Tensor forward(torch::Tensor x) {{
    auto y = torch::empty_like(x);
    softmax_rows<{threads}><<<x.size(0), {threads}>>>(x.data_ptr<float>(), y.data_ptr<float>(), x.size(1));
    return y;
}}
"""


def make_task(slug: str = "softmax", title: str = "Softmax over the last dimension", source: str = SOFTMAX) -> Task:
    def workload(name: str, rows: int, cols: int, visibility: Visibility, purpose: Purpose) -> Workload:
        spec = InputSpec(name="x", shape=(rows, cols), dtype=DType.FLOAT32)
        axes = {"rows": rows, "cols": cols}
        return Workload(name=name, axes=axes, inputs=(spec,), visibility=visibility, purpose=purpose)

    return Task(
        slug=slug,
        title=title,
        source=source,
        form=ReferenceForm.FUNCTION,
        entry="softmax",
        axes=(Axis(name="rows", default=4096), Axis(name="cols", default=1024)),
        workloads=(
            workload("public-0", 64, 128, Visibility.PUBLIC, Purpose.VERIFY),
            workload("rows=7,cols=129", 7, 129, Visibility.HIDDEN, Purpose.VERIFY),
            workload("bench-0", 4096, 1024, Visibility.PUBLIC, Purpose.BENCH),
        ),
        provenance=Provenance(origin="user", licence="MIT"),
    )


def make_candidate(variant: int = 0) -> Candidate:
    text = KERNEL.format(variant=variant, threads=128 << (variant % 4))
    return Candidate(language=Language.CUDA, files=(SourceFile(name="kernel.cu", text=text),))


def make_trace() -> Trace:
    message = Message(role="assistant", content="schedule: row-per-block, 256 threads <b>not bold</b>")
    return Trace(kind=TraceKind.OFFLINE, model="offline", messages=(message,))


def make_verdict(candidate: Candidate, status: Status = Status.PASSED) -> Verdict:
    passed = status is Status.PASSED
    checks = [
        Check(name="build", passed=True, detail="24 registers, no spills"),
        Check(name="shape", workload="public-0", passed=True),
        Check(
            name="values[normal]", workload="public-0", passed=True, detail="largest error 2.4e-07 of 1.2e-05 allowed"
        ),
        Check(
            name="values[large]",
            workload="rows=7,cols=129",
            passed=passed,
            status=None if passed else status,
            detail="largest error 3.1e-07 of 1.2e-05 allowed" if passed else "17 of 903 elements differ, by up to 0.31",
            public=False,
        ),
    ]
    diagnostic = Diagnostic(
        kind="out_of_bounds",
        kernel="softmax_rows<128>",
        file="kernel.cu",
        line=10,
        block=(6, 0, 0),
        thread=(1, 0, 0),
        message="a read of 4 bytes lies 4 bytes past the end of x (3612 bytes)",
    )
    evidence = Evidence(
        rule="stream-use", tier=EvidenceTier.TELEMETRY, where="kernel.cu:17", reason="launches on the default stream"
    )
    return Verdict(
        status=status,
        task_hash=make_task().content_hash,
        candidate_hash=candidate.content_hash,
        device="sim:h100",
        seed=20261125,
        checks=tuple(checks),
        evidence=(evidence,),
        diagnostics=() if passed else (diagnostic,),
        seconds={"build": 3.2, "oracle": 0.8, "candidate": 2.1, "judge": 0.1},
        isolation="bubblewrap",
    )


def make_measurement(candidate: Candidate, speedup: float) -> Measurement:
    launch = Launch(
        kernel="softmax_rows<256>",
        grid=(4096, 1, 1),
        block=(256, 1, 1),
        dynamic_shared=0,
        microseconds=14.2,
        limiter="dram",
    )
    timing = WorkloadTiming(
        workload="bench-0",
        samples_us=(42.0 / speedup,),
        median_us=42.0 / speedup,
        baseline_us=42.0,
        floor_us=10.0,
        speedup=speedup,
        roofline_fraction=min(0.97, 10.0 * speedup / 42.0),
        launches=(launch,),
    )
    return Measurement(
        basis=Basis.MODELLED,
        device="sim:h100",
        fingerprint="sim:h100, cost model 1",
        candidate_hash=candidate.content_hash,
        timings=(timing,),
        speedup=speedup,
    )


class Stage:
    """Plays a worker: writes to the archive what a search would."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive

    def run(self, seed: int = 7, task: Task | None = None) -> RunRecord:
        config = RunConfig(task=task or make_task(), device="sim:h100", model="offline", seed=seed)
        return self.archive.create_run(config)

    def propose(
        self,
        run: RunRecord,
        number: int,
        *,
        operator: Operator = Operator.TRANSLATE,
        parents: tuple[int, ...] = (),
        generation: int = 0,
        problem: str = "",
    ) -> Candidate | None:
        candidate = None if problem else make_candidate(number)
        self.archive.record_proposal(
            run.id,
            number,
            generation=generation,
            operator=operator,
            parents=parents,
            candidate=candidate,
            problem=problem,
            trace=make_trace(),
        )
        self.archive.add_event(run.id, "proposed", f"attempt {number}: {operator.value}", number)
        return candidate

    def judge(self, run: RunRecord, number: int, status: Status, speedup: float = 0.0) -> None:
        candidate = self.archive.attempt(run.id, number).candidate
        assert candidate is not None
        measurement = make_measurement(candidate, speedup) if status is Status.PASSED else None
        self.archive.record_outcome(run.id, number, make_verdict(candidate, status), measurement)
        self.archive.add_event(run.id, "evaluated", f"attempt {number}: {status.value}", number)

    @staticmethod
    def verdict(candidate: Candidate, status: Status) -> Verdict:
        return make_verdict(candidate, status)

    @staticmethod
    def measured(candidate: Candidate, speedup: float) -> Measurement:
        changes = {
            "basis": Basis.MEASURED,
            "device": "cuda:0",
            "speedup_interval": (speedup - 0.1, speedup + 0.1),
        }
        return make_measurement(candidate, speedup).model_copy(update=changes)

    def best(self, run: RunRecord, number: int) -> None:
        self.archive.set_best(run.id, number)
        self.archive.add_event(run.id, "best", f"best so far: attempt {number}", number)

    def finished_run(self) -> RunRecord:
        """Three translations (one wrong, one without a kernel), a mutation and a crossover."""
        run = self.run()
        self.archive.set_state(run.id, RunState.RUNNING)
        self.archive.add_event(run.id, "state", "running")
        self.propose(run, 0)
        self.judge(run, 0, Status.PASSED, 1.2)
        self.propose(run, 1)
        self.judge(run, 1, Status.MEMORY_ERROR)
        self.propose(run, 2, problem="the reply holds no code block")
        self.propose(run, 3, operator=Operator.REPAIR, parents=(1,))
        self.judge(run, 3, Status.PASSED, 0.8)
        self.propose(run, 4, operator=Operator.MUTATE, parents=(0,), generation=1)
        self.judge(run, 4, Status.PASSED, 2.61)
        self.propose(run, 5, operator=Operator.CROSSOVER, parents=(0, 3), generation=1)
        self.judge(run, 5, Status.WRONG_VALUES)
        self.propose(run, 6, operator=Operator.MUTATE, parents=(4,), generation=2)
        self.judge(run, 6, Status.PASSED, 2.95)
        self.best(run, 6)
        self.archive.set_state(run.id, RunState.FINISHED)
        self.archive.add_event(run.id, "state", "finished")
        return self.archive.run(run.id)


class IdleBackend:
    """A backend that records runs which nobody works on, and remembers what it was asked to load."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self.loaded: list[tuple[str, str]] = []
        self.configured_model: str | None = "offline"

    def submit(self, config: RunConfig) -> RunRecord:
        return self._archive.create_run(config)

    def load(self, name: str) -> Task:
        if not name.endswith(".py"):
            return next(task for task in self.library() if task.slug == name)
        source = Path(name).read_text(encoding="utf-8")
        self.loaded.append((Path(name).name, source))
        if "def " not in source:
            raise UserError("The source states no op: NameError: name 'x' is not <defined>")
        return make_task(Path(name).stem, source=source)

    def library(self) -> tuple[Task, ...]:
        backward = make_task("layernorm_backward", "Gradients of layer normalisation").model_copy(
            update={"direction": Direction.BACKWARD, "saved": ("x", "weight"), "gradients": ("x", "weight", "bias")}
        )
        stated = OutputProperty(kind=PropertyKind.SORTED, reason="equal keys are equal")
        gelu = make_task("gelu", "GELU, tanh approximation").model_copy(
            update={
                "family": Family.POINTWISE,
                "formula": "y = x if x < 0 else 0",
                "why": "One pass.",
                "constraints": ("rows <= cols",),
                "properties": (stated,),
            }
        )
        return (make_task(), gelu, backward)

    def devices(self) -> tuple[str, ...]:
        return ("auto", "sim:h100", "sim:a100", "sim:l4", "sim:rtx4090")

    def device_name(self, name: str) -> str:
        if name not in self.devices():
            raise UserError(f"there is no device `{name}`; use auto or sim:h100")
        return "sim:h100" if name == "auto" else name

    def model_name(self, name: str | None) -> str:
        if name is None and self.configured_model is None:
            raise UserError("the model endpoint needs a key: set KERNELWRIGHT_MODEL_API_KEY")
        return name or str(self.configured_model)

    def findings(self) -> tuple[Finding, ...]:
        return (
            Finding(name="nvcc", ok=True, detail="13.0"),
            Finding(name="gpu", ok=False, detail="no GPU", remedy="none is needed", required=False),
        )


class Site:
    """A running server with what stands behind it."""

    def __init__(self, address: str, archive: Archive, backend: IdleBackend) -> None:
        self.address = address
        self.archive = archive
        self.backend = backend
        self.stage = Stage(archive)


@contextmanager
def serving(archive: Archive) -> Iterator[Site]:
    backend = IdleBackend(archive)
    with listen("127.0.0.1", 0) as listener:
        config = uvicorn.Config(
            create_app(archive, backend), log_level="critical", ws="none", timeout_graceful_shutdown=2
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        host, port = listener.getsockname()
        try:
            yield Site(f"http://{host}:{port}", archive, backend)
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Archive.open(f"sqlite:///{tmp_path / 'kernelwright.db'}") as archive, serving(archive) as served:
        yield served


@pytest.fixture
def client(site: Site) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site.address, timeout=20) as opened:
        yield opened


@pytest.fixture
def in_thread() -> Iterator[Callable[[Callable[[], None]], None]]:
    threads: list[threading.Thread] = []

    def start(work: Callable[[], None]) -> None:
        threads.append(threading.Thread(target=work))
        threads[-1].start()

    yield start
    for thread in threads:
        thread.join()
