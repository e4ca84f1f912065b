"""Fills the skeleton of a stage: pointwise, row, serial or whole (`product_text` fills the matrix product's)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from agent.offline.describe import describe
from agent.offline.graph import Graph, Size
from agent.offline.kernel import Group, KernelWriter, Parameter
from agent.offline.passes import RowProgram, arrange
from agent.offline.primitives import SCALAR_TYPE
from agent.offline.schedules import PointwiseSchedule, RowSchedule, Schedule, SerialSchedule, WholeSchedule
from agent.offline.sizes import HostSizes
from agent.offline.stages import Reduction, Stage, StageKind
from agent.offline.walk import Keeping, identity_of, program_text, step_text, store, stored_as_vector
from tasks.values import DType

_PARTIAL_TYPE = {
    "float": SCALAR_TYPE[DType.FLOAT32],
    "double": SCALAR_TYPE[DType.FLOAT64],
    "int64_t": SCALAR_TYPE[DType.INT64],
}


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("agent.offline", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 -- writes C++, no markup
    )


@dataclass(frozen=True, slots=True)
class StageText:
    """One stage as text."""

    text: str
    """Kernels and their launching function."""
    call: str
    """Host statement that launches them."""


@dataclass(slots=True)
class StageContext:
    """What every stage of one source shares."""

    graph: Graph
    names: dict[str, str]
    """Identifier of each tensor."""
    sizes: HostSizes = field(init=False)
    _templates: Environment = field(default_factory=_environment)

    def __post_init__(self) -> None:
        self.sizes = HostSizes(self.graph)

    def template(self, name: str) -> Template:
        """Return one of the templates."""
        return self._templates.get_template(name)

    def writer(self, stage: Stage) -> KernelWriter:
        """Return the writer of a stage's terms, over the loop variables of its kind."""
        groups = [Group("column", "columns", stage.columns)]
        if stage.kind in (StageKind.ROW, StageKind.MATMUL):
            groups.insert(0, Group("row", "rows", stage.rows))
        if stage.kind is StageKind.MATMUL:
            groups.append(Group("batch", "batches", stage.batch))
        return KernelWriter(self.graph, stage, groups, self.names)


@dataclass(frozen=True, slots=True)
class _Declared:
    """A kernel parameter."""

    declaration: str
    name: str
    argument: str
    """Host expression that is passed for it."""

    @property
    def restricted(self) -> str:
        return self.declaration.replace("* ", "* __restrict__ ")


def _declared(context: StageContext, writer: KernelWriter) -> list[_Declared]:
    """List a kernel's parameters: tensors read, tensors written, numbers."""
    result = []
    for tensor in writer.loaded():
        name, kind = context.names[tensor], writer.storage(tensor)
        result.append(_Declared(f"const {kind}* {name}", name, f"static_cast<const {kind}*>({name}.data_ptr())"))
    for output in writer.stage.outputs:
        name, kind = context.names[output.tensor], writer.storage(output.tensor)
        result.append(_Declared(f"{kind}* {name}", name, f"static_cast<{kind}*>({name}.data_ptr())"))
    for parameter in writer.parameters:
        declaration = f"{parameter.c_type} {parameter.name}"
        result.append(_Declared(declaration, parameter.name, _number(context, parameter)))
    return result


def _number(context: StageContext, parameter: Parameter) -> str:
    if parameter.size is not None:
        return context.sizes.text(parameter.size)
    return context.sizes.scalar(parameter.scalar, parameter.c_type)


def render(
    context: StageContext, number: int, writer: KernelWriter, schedule: Schedule, values: Mapping[str, object]
) -> StageText:
    """Fill the skeleton of the schedule's kind; `writer` must have written every term already."""
    name = f"{schedule.kind}_{number}"
    declared = _declared(context, writer)
    text = context.template(f"{schedule.kind}.cu.jinja").render(
        comment=describe(writer.stage, schedule),
        name=name,
        prefix=f"K{number}",
        schedule=schedule,
        signature=[item.restricted for item in declared],
        signature_host=[item.declaration for item in declared],
        arguments=[item.name for item in declared],
        **values,
    )
    options = [f"{context.graph.inputs[0]}.options()"] if isinstance(schedule, WholeSchedule) else []
    arguments = [*(item.argument for item in declared), *options, "stream"]
    return StageText(text, f"launch_{name}({', '.join(arguments)});")


def alignment(context: StageContext, writer: KernelWriter, vector: str) -> list[str]:
    """Return host conditions under which every vector access is aligned and stays inside its row."""
    extent = writer.inner_extent("column")
    conditions = [f"{writer.size_name(extent)} % {vector} == 0"]
    strides: list[Size] = []
    for position, term in enumerate(writer.stage.terms):
        if writer.is_vector_load(position, "column"):
            conditions.append(f"is_aligned({context.names[term.tensor]}, {vector})")
            strides += writer.outer_strides(term.steps, "column")
    for output in writer.stage.outputs:
        if stored_as_vector(writer, output):
            conditions.append(f"is_aligned({context.names[output.tensor]}, {vector})")
            strides += writer.outer_strides(output.steps, "column")
    loose = [stride for stride in dict.fromkeys(strides) if stride.divided_by(extent) is None]
    conditions += [f"{writer.size_name(stride)} % {vector} == 0" for stride in loose]
    return list(dict.fromkeys(conditions))


def pointwise_text(context: StageContext, number: int, stage: Stage, schedule: PointwiseSchedule) -> StageText:
    """Fill the pointwise skeleton."""
    writer = context.writer(stage)
    text = step_text(writer, arrange(stage, writer, keep=False).passes[0])
    vectorised = alignment(context, writer, f"K{number}_VECTOR")
    values = {"invariant": text.before, "walk": text.walk, "vectorised": vectorised}
    return render(context, number, writer, schedule, values)


def row_text(context: StageContext, number: int, stage: Stage, schedule: RowSchedule) -> StageText:
    """Fill the row skeleton: a kernel that keeps rows in registers, and one for rows of any length."""
    writer = context.writer(stage)
    keeping = arrange(stage, writer, keep=True)
    values = {
        "row_digits": writer.declare_digits("row", "row"),
        "cached": program_text(writer, keeping),
        "shared": program_text(writer, keeping, Keeping.SHARED) if schedule.shared else None,
        "kept_type": _kept_type(stage, keeping),
        "kept_rows": len(set(keeping.slots.values())),
        "streamed": program_text(writer, arrange(stage, writer, keep=False)),
        "vectorised": alignment(context, writer, f"K{number}_VECTOR"),
    }
    return render(context, number, writer, schedule, values)


def _kept_type(stage: Stage, program: RowProgram) -> str:
    """Return the widest type of the kept values: every kept row is given that much room."""
    kept = {stage.terms[term].c_type for term in program.slots}
    return next((c_type for c_type in ("double", "int64_t", "float") if c_type in kept), "float")


def serial_text(context: StageContext, number: int, stage: Stage, schedule: SerialSchedule) -> StageText:
    """Fill the skeleton of one thread per row."""
    writer = context.writer(stage)
    values = {
        "row_digits": writer.declare_digits("row", "row"),
        "program": program_text(writer, arrange(stage, writer, keep=False), serial=True),
    }
    return render(context, number, writer, schedule, values)


@dataclass(frozen=True, slots=True)
class Partial:
    """What the first launch of a whole reduction leaves for the second."""

    name: str
    c_type: str
    identity: str
    functor: str
    scalar_type: str

    @property
    def pointer(self) -> str:
        """Host expression of the partial results."""
        return f"static_cast<{self.c_type}*>({self.name}_parts.data_ptr())"


def _partial(writer: KernelWriter, reduction: Reduction) -> Partial:
    name, kind = writer.reduced(reduction), reduction.c_type
    return Partial(name, kind, identity_of(reduction), reduction.op.capitalize(), _PARTIAL_TYPE[kind])


def whole_text(context: StageContext, number: int, stage: Stage, schedule: WholeSchedule) -> StageText:
    """Fill the skeleton of a reduction over everything."""
    writer = context.writer(stage)
    program = arrange(stage, writer, keep=False)
    partials = [_partial(writer, reduction) for reduction in stage.reductions]
    values = {
        "step": step_text(writer, program.passes[0]),
        "final": [writer.line(term) for term in program.final_terms],
        "row_stores": [store(writer, output) for output in program.row_outputs],
        "vectorised": alignment(context, writer, f"K{number}_VECTOR"),
        "partials": partials,
    }
    return render(context, number, writer, schedule, {**values, **_launches(context, writer, partials)})


def _launches(context: StageContext, writer: KernelWriter, partials: Sequence[Partial]) -> dict[str, list[str]]:
    """Parameters and arguments of the two launches: the stage's own, and the partial results."""
    declared = _declared(context, writer)
    signature, arguments = [item.restricted for item in declared], [item.name for item in declared]
    written = [f"{partial.c_type}* __restrict__ {partial.name}_parts" for partial in partials]
    pointers = [partial.pointer for partial in partials]
    return {
        "part_signature": [*signature, *written],
        "part_arguments": [*arguments, *pointers],
        "finish_signature": [*signature, *(f"const {item}" for item in written), "int parts"],
        "finish_arguments": [*arguments, *pointers, "parts"],
    }
