"""Templates to HTML: one Jinja environment, everything escaped, and how figures are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from importlib.metadata import version
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from dataset.values import AttemptRecord
from simgpu.names import readable
from verifier.values import Check, Measurement


class Renderer:
    """Renders the templates of the package."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=PackageLoader("web"),
            undefined=StrictUndefined,
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(
            speedup=speedup,
            microseconds=microseconds,
            spelled=spelled,
            percent=percent,
            moment=moment,
            path=path,
            span=span,
            by_workload=by_workload,
            readable=readable,
        )
        self._environment.tests["passed"] = passed
        self._environment.globals["version"] = version("kernelwright")

    def page(self, template: str, context: Mapping[str, object], status: int = HTTPStatus.OK) -> HTMLResponse:
        """Return a template rendered with `context` as a response that no cache keeps."""
        text = self._environment.get_template(template).render(context)
        return HTMLResponse(text, status, headers={"Cache-Control": "no-store"})


def speedup(value: float) -> str:
    """Write a speed-up with three significant digits: `2.35×`, `11.2×`, `140×`."""
    digits = 2 if value < 10 else 1 if value < 100 else 0  # noqa: PLR2004 - powers of ten
    return f"{value:.{digits}f}×"


def microseconds(value: float) -> str:
    """Write a time in the unit that keeps it readable."""
    if value >= 1000:  # noqa: PLR2004 - microseconds in a millisecond
        return f"{value / 1000:.2f} ms"
    return f"{value:.2f} µs" if value < 10 else f"{value:.1f} µs"  # noqa: PLR2004 - a power of ten


def span(measurement: Measurement) -> str:
    """Write the median times of a measurement's workloads: one figure, or the shortest and the longest."""
    medians = sorted(timing.median_us for timing in measurement.timings)
    if not medians:
        return ""
    first, last = microseconds(medians[0]), microseconds(medians[-1])
    return first if first == last else f"{first} – {last}"


@dataclass(frozen=True, slots=True)
class CheckGroup:
    """The checks at one workload."""

    workload: str | None
    """None: of the candidate as a whole."""
    hidden: bool
    """Whether the proposer must not see them."""
    checks: tuple[Check, ...]


def by_workload(checks: Sequence[Check]) -> tuple[CheckGroup, ...]:
    """Group checks by workload, in the order in which the workloads first occur."""
    groups: dict[str | None, list[Check]] = {}
    for check in checks:
        groups.setdefault(check.workload, []).append(check)
    return tuple(
        CheckGroup(workload, hidden=not all(check.public for check in members), checks=tuple(members))
        for workload, members in groups.items()
    )


def percent(value: float) -> str:
    """Write a fraction as a percentage, small ones with a decimal."""
    return f"{100 * value:.1f}%" if value < 0.1 else f"{100 * value:.0f}%"  # noqa: PLR2004 - a tenth


def spelled(value: str) -> str:
    """Write an enumeration's value in words."""
    return str(value).replace("_", " ")


def moment(value: datetime) -> str:
    """Write a time for people, in UTC."""
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def path(value: str) -> str:
    """Write a text as one segment of a URL's path."""
    return quote(value, safe=":")


def passed(attempt: AttemptRecord) -> bool:
    """Tell whether an attempt's verdict is `passed`."""
    return attempt.verdict is not None and attempt.verdict.passed
