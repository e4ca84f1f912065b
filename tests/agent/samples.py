"""Values that several tests of the agent share."""

from __future__ import annotations

from agent.values import ProposalRequest
from dataset.values import AttemptRecord, Operator, RunConfig
from sandbox.values import Candidate, Language, SourceFile
from tasks.values import Axis, DType, InputSpec, Purpose, ReferenceForm, Task, Visibility, Workload

SOURCE = """import torch

rows = 4


def relu(x):
    return torch.relu(x)


def get_inputs():
    return [torch.randn(rows, 8)]
"""


def workload(name: str, rows: int, visibility: Visibility, purpose: Purpose = Purpose.VERIFY) -> Workload:
    spec = InputSpec(name="x", shape=(rows, 8), dtype=DType.FLOAT32)
    return Workload(name=name, axes={"rows": rows}, inputs=(spec,), visibility=visibility, purpose=purpose)


def sample_task() -> Task:
    return Task(
        slug="relu",
        title="ReLU",
        source=SOURCE,
        form=ReferenceForm.FUNCTION,
        entry="relu",
        axes=(Axis(name="rows", default=4),),
        workloads=(
            workload("public-0", 4, Visibility.PUBLIC),
            workload("rows=7919", 7919, Visibility.HIDDEN),
            workload("bench-0", 4096, Visibility.PUBLIC, Purpose.BENCH),
        ),
    )


def sample_config(**changes: object) -> RunConfig:
    fields: dict[str, object] = {
        "task": sample_task(),
        "device": "sim:h100",
        "model": "scripted",
        "samples": 2,
        "repairs": 1,
        "generations": 2,
        "population": 3,
        "seed": 7,
    }
    return RunConfig.model_validate(fields | changes)


def candidate(text: str) -> Candidate:
    return Candidate(language=Language.CUDA, files=(SourceFile(name="kernel.cu", text=text),))


def kernel(directive: str, note: str = "") -> str:
    """A source with the form of a kernel and a directive for the scripted evaluator."""
    return f"""#include <torch/extension.h>
// scripted: {directive}
__global__ void k(const float* x, float* y, int n) {{ int i{note} = blockIdx.x; if (i{note} < n) y[i{note}] = x[i{note}]; }}
torch::Tensor forward(torch::Tensor x) {{
    auto y = torch::empty_like(x);
    k<<<(x.numel() + 255) / 256, 256>>>(x.data_ptr<float>(), y.data_ptr<float>(), x.numel());
    return y;
}}
"""


def fenced(source: str) -> str:
    return f"The kernel:\n\n```cuda\n{source}```\n"


def write(request: ProposalRequest) -> str:
    """Fail the second translation, repair it, and get a little faster with every evolution step."""
    if request.operator is Operator.TRANSLATE:
        return kernel("status=wrong_values" if request.ordinal == 1 else "speedup=1.0", str(request.ordinal))
    if request.operator is Operator.REPAIR:
        return kernel("speedup=1.2", "r")
    return kernel(f"speedup={1.3 + request.seed % 100 / 100:.2f}", str(request.seed))


def shape(attempts: tuple[AttemptRecord, ...]) -> list[object]:
    return [
        (a.number, a.generation, a.operator, a.parents, a.candidate, a.problem, a.verdict, a.measurement)
        for a in attempts
    ]
