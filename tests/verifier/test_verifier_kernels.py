"""Every kernel of `examples/kernels` passes: the verifier's honest set, through the real sandbox and simulator."""

from pathlib import Path

import pytest

from cli.loading import read_candidate
from sandbox.devices import parse_device
from tasks.loading import library, library_task
from verifier.values import Status
from verifier.verify import verify

FOLDER = Path(__file__).parents[2] / "examples" / "kernels"
KERNELS = [path for pattern in ("*.cu", "triton/*.py", "raw/*") for path in sorted(FOLDER.glob(pattern))]


def test_at_least_sixty_tasks_have_a_kernel():
    slugs = {path.stem for path in KERNELS}
    assert len(slugs) >= 60
    assert slugs <= {task.slug for task in library()}


@pytest.mark.slow
@pytest.mark.parametrize("path", KERNELS, ids=lambda path: path.relative_to(FOLDER).with_suffix("").as_posix())
def test_the_kernel_passes(path):
    task = library_task(path.stem)
    verdict = verify(task, read_candidate(str(path), task.direction), parse_device("sim:h100"), seed=21)
    assert verdict.status is Status.PASSED, verdict.checks[-1]
