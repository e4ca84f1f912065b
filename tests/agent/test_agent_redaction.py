"""What a proposer is told of a verdict."""

from __future__ import annotations

from agent.feedback import feedback_for
from agent.redaction import public_measurement, public_task, public_verdict
from agent.values import Parent
from sandbox.source_lines import Hotspot
from sandbox.values import Basis, Diagnostic, Launch
from tests.agent.samples import candidate, sample_task
from verifier.values import Check, Evidence, EvidenceTier, Measurement, Status, Verdict, WorkloadTiming

FAULT = Diagnostic(
    kind="out_of_bounds",
    kernel="k",
    file="kernel.cu",
    line=12,
    block=(61, 0, 0),
    thread=(221, 0, 0),
    message="reads 4 bytes past an allocation of 253408 bytes",
)


def verdict(*checks: Check, **changes: object) -> Verdict:
    fields: dict[str, object] = {
        "status": Status.MEMORY_ERROR,
        "task_hash": sample_task().content_hash,
        "candidate_hash": candidate("x").content_hash,
        "device": "sim:h100",
        "seed": 4242,
        "checks": checks,
        "diagnostics": (FAULT,),
    }
    return Verdict.model_validate(fields | changes)


def failed(workload: str | None, detail: str, *, public: bool) -> Check:
    return Check(
        name="memory", workload=workload, passed=False, status=Status.MEMORY_ERROR, detail=detail, public=public
    )


def test_a_task_keeps_its_public_workloads_only():
    assert [w.name for w in public_task(sample_task()).workloads] == ["public-0", "bench-0"]


def test_a_hidden_failure_keeps_its_kind_and_source_line_and_loses_every_figure():
    shown = public_verdict(verdict(failed("rows=7919", "7919 rows", public=False)), sample_task())
    text = shown.model_dump_json()
    for secret in ("7919", "4242", "253408", "221", "61"):
        assert secret not in text.replace(shown.task_hash, "").replace(shown.candidate_hash, "")
    assert shown.status is Status.MEMORY_ERROR
    assert (shown.checks[0].name, shown.checks[0].workload, shown.checks[0].status) == (
        "memory",
        "hidden",
        Status.MEMORY_ERROR,
    )
    assert (shown.diagnostics[0].kind, shown.diagnostics[0].line) == ("out_of_bounds", 12)


def test_a_workload_that_is_not_public_is_hidden_even_when_its_check_claims_to_be_public():
    shown = public_verdict(verdict(failed("rows=7919", "secret", public=True)), sample_task())
    assert shown.checks[0].detail == ""


def test_a_public_failure_is_told_in_full():
    check = failed("public-0", "at row 3", public=True)
    shown = public_verdict(verdict(check), sample_task())
    assert shown.checks == (check,)
    assert shown.diagnostics == (FAULT,)


def timing(workload: str) -> WorkloadTiming:
    launch = Launch(
        kernel="k",
        grid=(16, 1, 1),
        block=(256, 1, 1),
        dynamic_shared=0,
        microseconds=4.0,
        counters={"sectors": 131072.0, "occupancy": 0.5},
        limiter="dram",
        hotspots=(Hotspot(kind="bank_conflicts", file="kernel.cu", line=7, message="31.0 extra passes"),),
    )
    return WorkloadTiming(
        workload=workload,
        samples_us=(4.0,),
        median_us=4.0,
        baseline_us=8.0,
        floor_us=1.0,
        speedup=2.0,
        roofline_fraction=0.25,
        launches=(launch,),
    )


MEASURED = Measurement(
    basis=Basis.MODELLED,
    device="sim:h100",
    fingerprint="f",
    candidate_hash=candidate("x").content_hash,
    timings=(timing("bench-0"), timing("rows=7919")),
    speedup=2.0,
)


def test_timings_of_hidden_workloads_go():
    assert [t.workload for t in public_measurement(MEASURED, sample_task()).timings] == ["bench-0"]


def test_feedback_on_a_failure_names_check_rule_and_place():
    evidence = Evidence(
        rule="library-op", tier=EvidenceTier.HARD, where="kernel.cu:3", reason="the op is left to PyTorch"
    )
    noise = Evidence(rule="own-stream", tier=EvidenceTier.TELEMETRY, where="kernel.cu:9", reason="a stream")
    told = verdict(failed("public-0", "error: expected `;`\nat line 4", public=True), evidence=(evidence, noise))
    text = feedback_for(Parent(attempt=3, candidate=candidate("x"), verdict=public_verdict(told, sample_task())))
    assert text.splitlines() == [
        "Attempt 3: `memory_error`.",
        "- check `memory` failed at public-0:",
        "```",
        "error: expected `;`",
        "at line 4",
        "```",
        "- rule `library-op` at kernel.cu:3: the op is left to PyTorch",
        f"- out of bounds in `k` at line 12, block 61,0,0, thread 221,0,0: {FAULT.message}",
    ]


def test_feedback_on_a_pass_tells_time_and_limit():
    passed = verdict(status=Status.PASSED, diagnostics=())
    parent = Parent(
        attempt=1, candidate=candidate("x"), verdict=passed, measurement=public_measurement(MEASURED, sample_task())
    )
    assert feedback_for(parent).splitlines() == [
        "Attempt 1: 2.00 times eager PyTorch (modelled on sim:h100).",
        "bench-0: 4.00 us; eager 8.00 us; physical floor 1.00 us (25% reached)",
        "- `k` grid 16x1x1, block 256x1x1, 4.00 us, bound by dram",
        "  counted: sectors 131,072; occupancy 0.5",
        "  kernel.cu:7: bank conflicts: 31.0 extra passes",
    ]


def test_a_long_build_log_is_cut_in_the_middle():
    log = "first error\n" + "x" * 20000 + "\nlast line"
    told = public_verdict(verdict(failed(None, log, public=True), diagnostics=()), sample_task())
    text = feedback_for(Parent(attempt=0, candidate=candidate("x"), verdict=told))
    assert len(text) < 5000
    assert "first error" in text
    assert "last line" in text
    assert "characters left out" in text
