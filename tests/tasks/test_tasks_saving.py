"""What is saved is the task: every field of a library task comes back from the two files."""

from __future__ import annotations

from tasks.inference import task_from_probe
from tasks.loading import library, library_task
from tasks.manifest import read_manifest_task
from tasks.saving import save_task
from tasks.values import Axis, DType, InputSpec, ProbedSizes, ProbeResult, ReferenceForm


def test_a_fifth_of_the_library_comes_back_as_it_was_saved(tmp_path):
    for task in library()[::5]:
        assert read_manifest_task(save_task(task, tmp_path)) == task


def test_stated_operations_are_saved_too(tmp_path):
    task = library_task("softmax").model_copy(update={"flops": "5 * rows * cols"})
    assert read_manifest_task(save_task(task, tmp_path)).flops == "5 * rows * cols"


def test_a_constant_that_is_called_like_a_dimension_stays_a_constant(tmp_path):
    source = (
        "import torch\nx_dim0 = 6\ndef op(x):\n    return x * 2\ndef get_inputs():\n    return [torch.randn(x_dim0)]\n"
    )
    axes = (Axis(name="x_dim0", default=6),)
    default = ProbedSizes(axes={"x_dim0": 6}, inputs=(InputSpec(name="x", shape=(6,), dtype=DType.FLOAT32),))
    probed = ProbeResult(form=ReferenceForm.FUNCTION, entry="op", axes=axes, default=default, varied=(default,))
    task = task_from_probe("op", source, probed)
    assert read_manifest_task(save_task(task, tmp_path)).axes == axes
