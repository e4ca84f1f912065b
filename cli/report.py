"""Tables that commands print for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.panel import Panel
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from cli.output import outcome, results
from dataset.values import AttemptRecord, RunRecord
from sandbox.values import Candidate
from simgpu.names import readable
from tasks.values import Purpose, Task
from verifier.replay import Replay
from verifier.values import Measurement, Verdict


def _workload_marks(verdict: Verdict) -> Text:
    """Return one mark per workload, in the order in which they were checked: ✓ all checks held, ✗ one did not."""
    held: dict[str, bool] = {}
    for check in verdict.checks:
        if check.workload is not None:
            held[check.workload] = held.get(check.workload, True) and check.passed
    marks = Text()
    for passed in held.values():
        marks.append("✓" if passed else "✗", style="green" if passed else "red")
    return marks if held else Text("-", style="dim")


def _total_us(measurement: Measurement) -> float:
    return sum(timing.median_us for timing in measurement.timings)


def attempt_table(run: RunRecord, attempts: Sequence[AttemptRecord]) -> Table:
    """Return the table of a run's candidates: verdict per workload, time, speed-up over eager."""
    basis = next((a.measurement.basis.value for a in attempts if a.measurement), "time")
    table = Table(title=f"{run.config.task.slug} on {run.config.device}, run {run.id}", title_justify="left")
    table.add_column("#", justify="right")
    table.add_column("from")
    table.add_column("verdict")
    table.add_column("workloads")
    table.add_column(f"{basis} µs", justify="right")
    table.add_column("× eager", justify="right")
    table.add_column("roofline", justify="right")
    for attempt in attempts:
        verdict, measurement = attempt.verdict, attempt.measurement
        parents = ",".join(str(parent) for parent in attempt.parents)
        table.add_row(
            str(attempt.number),
            f"{attempt.operator.value} {parents}".strip(),
            outcome(passed=verdict.passed, status=verdict.status.value)
            if verdict
            else Text(attempt.problem or "not evaluated", style="yellow"),
            _workload_marks(verdict) if verdict else Text("-", style="dim"),
            f"{_total_us(measurement):.1f}" if measurement else "",
            f"{measurement.speedup:.2f}" if measurement else "",
            f"{_mean_roofline(measurement):.0%}" if measurement else "",
            style="bold" if attempt.number == run.best_attempt else None,
        )
    return table


def _mean_roofline(measurement: Measurement) -> float:
    return sum(timing.roofline_fraction for timing in measurement.timings) / len(measurement.timings)


def print_source(candidate: Candidate, title: str) -> None:
    """Print a candidate's files, highlighted."""
    for file in candidate.files:
        lexer = "cuda" if file.name.endswith(".cu") else "toml"
        results.print(Panel(Syntax(file.text, lexer, word_wrap=True), title=Text(f"{title} · {file.name}")))


def print_verdict(verdict: Verdict) -> None:
    """Print a verdict: its status, the failed checks, the evidence and what the device saw."""
    marks = _workload_marks(verdict)
    results.print(outcome(passed=verdict.passed, status=verdict.status.value), f"on {verdict.device}", "  ", marks)
    results.print(_passed_table(verdict) if verdict.passed else _failed_table(verdict))
    for item in verdict.evidence:
        results.print(f"{item.tier.value} evidence {item.rule} at {item.where}: {item.reason}")
    for seen in verdict.diagnostics:
        kernel = readable(seen.kernel)
        place = f"{seen.file or kernel}:{seen.line}" if seen.line else kernel
        results.print(f"{seen.kind} at {place}, block {seen.block}, thread {seen.thread}: {seen.message}")
    stages = ", ".join(f"{stage.value} {seconds:.1f} s" for stage, seconds in verdict.seconds.items())
    results.print(f"{stages}; isolation: {verdict.isolation}; seed {verdict.seed}", style="dim")


def print_replay(replay: Replay) -> None:
    """Print whether a verdict replayed, what differs, and which versions are not those of the record."""
    count = len(replay.verdict.checks)
    same = f"replayed bit for bit: {replay.verdict.status.value}, {count} checks"
    results.print(outcome(passed=replay.identical, status=same if replay.identical else "the replay differs"))
    for difference in (*replay.differences, *replay.environment):
        results.print(f"{difference.where}: recorded {difference.recorded}, now {difference.found}")


def _failed_table(verdict: Verdict) -> Table:
    """Return the checks that did not hold."""
    table = Table("check", "workload", "result", "detail")
    for check in verdict.checks:
        if not check.passed:
            result = outcome(passed=False, status=check.status or "failed")
            table.add_row(check.name, check.workload or "", result, readable(check.detail))
    return table


def _passed_table(verdict: Verdict) -> Table:
    """Return the checks by name, each with how often it held and the detail of its last time."""
    table = Table("check", "held", "detail of the last")
    for name in dict.fromkeys(check.name for check in verdict.checks):
        same = [check for check in verdict.checks if check.name == name]
        table.add_row(name, f"{len(same)} of {len(same)}", readable(same[-1].detail))
    return table


def print_measurement(measurement: Measurement) -> None:
    """Print a measurement, one row per bench workload, labelled with its basis."""
    table = Table(title=f"{measurement.basis.value} on {measurement.device}", title_justify="left")
    # The title says how the times were found: a narrow terminal needs the room for the workloads' names.
    for heading in (
        "workload",
        "µs",
        "eager µs",
        "× eager",
        "floor µs",
        "roofline",
        "bound by",
    ):
        table.add_column(heading, justify="left" if heading in {"workload", "bound by"} else "right")
    for timing in measurement.timings:
        limiters = ", ".join(dict.fromkeys(launch.limiter for launch in timing.launches if launch.limiter))
        table.add_row(
            timing.workload,
            f"{timing.median_us:.2f}",
            f"{timing.baseline_us:.2f}",
            f"{timing.speedup:.2f}",
            f"{timing.floor_us:.2f}",
            f"{timing.roofline_fraction:.0%}",
            limiters,
        )
    results.print(table)
    for told in dict.fromkeys(_hotspots(measurement)):
        results.print(told)
    interval = measurement.speedup_interval
    spread = f", 95% interval {interval[0]:.2f} to {interval[1]:.2f}" if interval else ""
    results.print(f"{measurement.speedup:.2f} × {measurement.baseline} ({measurement.basis.value}{spread})")


def _hotspots(measurement: Measurement) -> Iterator[str]:
    """Say on which source lines the launches lose most."""
    for timing in measurement.timings:
        for launch in timing.launches:
            for spot in launch.hotspots:
                kind = spot.kind.replace("_", " ")
                place = f"{spot.file}:{spot.line} ({readable(launch.kernel)})"
                yield f"{timing.workload}: {kind} at {place}: {spot.message}"


def task_summary(task: Task) -> Table:
    """Return what was inferred of a task: its tensors over the axes, their values, and what is fixed."""
    axes = ", ".join(f"{axis.name} {axis.low} and up ({axis.default})" for axis in task.axes) or "none: one size only"
    fixed = ", ".join(f"{constant.name} = {constant.value!r}" for constant in task.hyperparameters)
    caption = f"sizes that vary: {axes}" + (f"; part of the op: {fixed}" if fixed else "")
    table = Table("tensor", "role", "type", "shape", "values", title=task.title, caption=caption)
    bench = task.workloads_for(Purpose.BENCH)[0]
    entries = {entry.name: entry.shape for entry in task.tensors}
    for spec in bench.inputs:
        shape = ", ".join(map(str, entries.get(spec.name, spec.shape)))
        table.add_row(spec.name, spec.role, spec.dtype, f"[{shape}]", str(spec.domain) or "any")
    return table
