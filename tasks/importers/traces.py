"""flashinfer-bench and SOL-ExecBench: a definition as JSON (axes, tensors, a reference) and workloads, one a line.

The two share one schema. They differ in where the files lie, and SOL-ExecBench adds axes computed from others and a
function that draws inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue, ValidationError

from tasks.errors import UserError
from tasks.importers.files import read_json, read_json_lines
from tasks.importers.licences import licence_above
from tasks.importers.trace_sources import reference_of
from tasks.importers.trace_values import Definition, TraceWorkload
from tasks.importers.values import Draft, Found, Suite
from tasks.values import Provenance

_TOLERANCE = "its tolerances and matched ratios are not carried over: verification calibrates a bound of its own"


@dataclass(frozen=True, slots=True)
class _Sources:
    """Where a task comes from."""

    origin: str
    licence: str
    sizes: str
    """Where its sizes come from."""


class FlashInferImporter:
    """Reads a trace data set of flashinfer-bench (see `tasks.importers.importing.Importer`)."""

    suite = Suite.FLASHINFER_BENCH

    def find(self, root: Path) -> tuple[Found, ...]:
        """Return the definitions below `root`, or the one that `root` is, by name."""
        if root.is_file():
            return (Found(id=root.stem, path=root),) if root.suffix == ".json" else ()
        files = [file for folder in sorted(root.rglob("definitions")) for file in sorted(folder.rglob("*.json"))]
        return tuple({file.stem: Found(id=file.stem, path=file) for file in files}.values())

    def read(self, found: Found, root: Path) -> Draft:
        """Return a definition with its workloads.

        Raises
        ------
        UserError
            A file is missing or not of the format, or no task can hold what it says.
        """
        definition = _definition(found.path)
        workloads = _flashinfer_workloads(found.path)
        models = ", ".join(tag.removeprefix("model:") for tag in definition.tags if tag.startswith("model:"))
        source = f"flashinfer-bench workloads{f' of {models}' if models else ''}"
        origin = f"{self.suite}, definition {definition.name}"
        sources = _Sources(origin, licence_above(found.path, root), source)
        return _draft(f"{self.suite}-{definition.name}", definition, workloads, sources)


class SolImporter:
    """Reads problems of SOL-ExecBench (see `tasks.importers.importing.Importer`)."""

    suite = Suite.SOL_EXECBENCH

    def find(self, root: Path) -> tuple[Found, ...]:
        """Return the folders with a `definition.json` below `root`, by their place in it."""
        base = root.parent if root.is_file() else root
        folders = sorted(file.parent for file in base.rglob("definition.json"))
        return tuple(
            Found(id=folder.relative_to(base).as_posix() if folder != base else folder.name, path=folder)
            for folder in folders
        )

    def read(self, found: Found, root: Path) -> Draft:
        """Return a definition with its workloads.

        Raises
        ------
        UserError
            A file is missing or not of the format, or no task can hold what it says.
        """
        definition = _definition(found.path / "definition.json")
        workloads = _workloads(found.path / "workload.jsonl", read_json_lines(found.path / "workload.jsonl"))
        origin = f"{self.suite}, problem {found.id}"
        sources = _Sources(origin, licence_above(found.path, root), "SOL-ExecBench workloads")
        return _draft(f"{self.suite}-{found.id}", definition, workloads, sources)


def _draft(name: str, definition: Definition, workloads: Sequence[TraceWorkload], provenance: _Sources) -> Draft:
    if not workloads:
        raise UserError("it has no workloads, so there are no sizes")
    reference = reference_of(definition, workloads)
    return Draft(
        name=name,
        body=reference.body,
        settings=reference.settings,
        source=provenance.sizes,
        notes=(*reference.notes, _TOLERANCE),
        provenance=Provenance(origin=provenance.origin, licence=provenance.licence),
    )


def _definition(path: Path) -> Definition:
    try:
        return Definition.model_validate(read_json(path))
    except ValidationError as error:
        raise UserError(f"'{path}' is no definition: {_first(error)}") from error


def _flashinfer_workloads(definition: Path) -> tuple[TraceWorkload, ...]:
    """Read the file of the same name under `workloads`, beside the folder `definitions` that holds the definition."""
    for folder in definition.parents:
        if folder.name == "definitions":
            inside = definition.relative_to(folder).with_suffix(".jsonl")
            path = folder.with_name("workloads") / inside
            lines = read_json_lines(path)
            return _workloads(path, [line.get("workload", line) if isinstance(line, dict) else line for line in lines])
    raise UserError(f"'{definition}' lies in no folder 'definitions', so its workloads are not to be found")


def _workloads(path: Path, lines: Sequence[JsonValue]) -> tuple[TraceWorkload, ...]:
    try:
        return tuple(TraceWorkload.model_validate(line) for line in lines)
    except ValidationError as error:
        raise UserError(f"'{path}' holds a line that is no workload: {_first(error)}") from error


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
