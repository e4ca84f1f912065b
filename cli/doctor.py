"""`kernelwright doctor`: what this machine has, and the remedy for what it lacks."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from cli.output import emit_json, outcome, results
from sandbox.values import Finding
from tasks.values import Value


class DoctorReport(Value):
    """`kernelwright doctor --json`."""

    healthy: bool
    """Whether everything that Kernelwright needs to run is there."""
    findings: tuple[Finding, ...]


def doctor(*, as_json: Annotated[bool, typer.Option("--json")] = False) -> int:
    """Say what this machine has: compilers, GPU, sandbox, broker, database, model endpoint.

    Exit code 0 when nothing that is required is missing, else 3.
    """
    from agent.examples import Examples
    from agent.jobs import broker_finding
    from agent.proposers import endpoint_finding
    from agent.settings import AgentSettings
    from dataset.archive import database_finding
    from sandbox.toolchain import findings

    examples = Examples.of(AgentSettings.load()).finding()
    found = (*findings(), database_finding(), broker_finding(), endpoint_finding(), examples)
    healthy = all(finding.ok or not finding.required for finding in found)
    if as_json:
        emit_json(DoctorReport(healthy=healthy, findings=found))
        return 0 if healthy else 3
    table = Table("", "part", "found", "remedy")
    for finding in found:
        mark = outcome(passed=True, status="") if finding.ok else ("✗" if finding.required else "–")
        table.add_row(mark, finding.name, finding.detail, "" if finding.ok else finding.remedy)
    results.print(table)
    return 0 if healthy else 3
