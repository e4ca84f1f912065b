"""Fills the skeleton of a matrix product with its epilogue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.offline.graph import Size, UnsupportedOpError, product
from agent.offline.kernel import KernelWriter, Parameter
from agent.offline.passes import Pass
from agent.offline.primitives import C_TYPE
from agent.offline.schedules import MatmulSchedule
from agent.offline.stage_text import StageContext, StageText, alignment, render
from agent.offline.stages import Matrix, Stage
from agent.offline.terms import TermKind
from agent.offline.walk import vector_walk


@dataclass(frozen=True, slots=True)
class Operand:
    """How one operand is fetched from memory; strides as texts in elements."""

    tensor: str
    batch: str
    across: str
    """Stride of the dimension that the product keeps."""
    inner: str
    """Stride of the dimension that is summed over."""
    along_k: str
    """Whether the summed dimension is the one that lies together (`true` or `false`)."""
    vector: str
    """Elements per load where everything is aligned."""


@dataclass(frozen=True, slots=True)
class _Fetch:
    matrix: Matrix
    kept: str
    """Size of the dimension that the product keeps: `rows` or `columns`."""
    across: Size
    inner: Size

    @property
    def dense(self) -> bool:
        """Whether one of the two dimensions lies together."""
        return self.inner.is_one or self.across.is_one


def product_text(context: StageContext, number: int, stage: Stage, schedule: MatmulSchedule) -> StageText:
    """Fill the matrix product's skeleton."""
    if stage.product is None:
        raise UnsupportedOpError("the offline proposer lost the operands of a product")
    writer = context.writer(stage)
    depth = product(tuple(digit.extent for digit in stage.product.inner), context.graph.sets)
    writer.parameters.append(Parameter("inner", "int64_t", depth))
    step = Pass(_reachable(writer), (), (), (), (), stage.outputs)
    left, right = stage.product.left, stage.product.right
    fetches = (_Fetch(left, "rows", left.row, left.column), _Fetch(right, "columns", right.column, right.row))
    vector = f"K{number}_VECTOR"
    conditions = alignment(context, writer, vector)
    for fetch in fetches:
        conditions += _fetch_alignment(context, writer, fetch, vector)
    values = {
        "compute": C_TYPE[context.graph.nodes[left.tensor].dtype],
        "batch_digits": writer.declare_digits("batch", "batch"),
        "row_digits": writer.declare_digits("row", "row"),
        "walk": vector_walk(writer, step, "STORE_VECTOR"),
        "left": _operand(context, writer, fetches[0], vector),
        "right": _operand(context, writer, fetches[1], vector),
        "vectorised": list(dict.fromkeys(conditions)),
    }
    return render(context, number, writer, schedule, values)


def _reachable(writer: KernelWriter) -> tuple[int, ...]:
    """Return the terms that the epilogue needs, in order."""
    found: set[int] = set()
    pending = [output.term for output in writer.stage.outputs]
    while pending:
        term = pending.pop()
        if term not in found:
            found.add(term)
            pending.extend(writer.inputs_of(term))
    return tuple(sorted(term for term in found if writer.stage.terms[term].kind is not TermKind.PRODUCT))


def _operand(context: StageContext, writer: KernelWriter, fetch: _Fetch, vector: str) -> Operand:
    return Operand(
        tensor=context.names[fetch.matrix.tensor],
        batch=_stride(writer, fetch.matrix.batch),
        across=_stride(writer, fetch.across),
        inner=_stride(writer, fetch.inner),
        along_k="true" if fetch.inner.is_one else "false",
        vector=vector if fetch.dense else "1",
    )


def _stride(writer: KernelWriter, stride: Size) -> str:
    return "0" if stride.constant == 0 else writer.size_name(stride)


def _fetch_alignment(context: StageContext, writer: KernelWriter, fetch: _Fetch, vector: str) -> Sequence[str]:
    """Return host conditions under which an operand can be fetched in vectors."""
    if not fetch.dense:
        return ()
    extent, loose = ("inner", fetch.across) if fetch.inner.is_one else (fetch.kept, fetch.inner)
    strides = [_stride(writer, stride) for stride in (loose, fetch.matrix.batch)]
    aligned = [f"{extent} % {vector} == 0", f"is_aligned({context.names[fetch.matrix.tensor]}, {vector})"]
    return [*aligned, *(f"{stride} % {vector} == 0" for stride in strides if stride != "0")]
