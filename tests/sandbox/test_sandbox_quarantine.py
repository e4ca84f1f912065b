from __future__ import annotations

import pytest

from sandbox.build import build
from sandbox.candidate import open_candidate
from sandbox.devices import parse_device
from sandbox.quarantine import Quarantine
from sandbox.values import Candidate, Execution, ExitState, Language, SourceFile, Tensor
from tasks.values import DType

H100 = parse_device("sim:h100")
L4 = parse_device("sim:l4")
SPEC = """
inputs = ["x"]
[[outputs]]
name = "y"
dtype = "float32"
shape = [1]
[[launches]]
kernel = "k"
grid = [1]
block = [1]
args = ["y", "x"]
"""
# What it does with the first argument's value: nothing wrong, an access out of bounds, a trap.
SOURCE = """
extern "C" __global__ void k(float* y, const float* x) {
    if (x[0] == 1.f) y[1 << 20] = 1.f;
    if (x[0] == 2.f) __trap();
    y[0] = x[0];
}
"""


@pytest.fixture(scope="module")
def built(settings):
    files = (SourceFile(name="kernel.cu", text=SOURCE), SourceFile(name="launch.toml", text=SPEC))
    return build(Candidate(language=Language.RAW, files=files), "sm_90", settings)


@pytest.fixture
def quarantine(built, tmp_path):
    return Quarantine(tmp_path, built.candidate_hash, H100)


def values(number: float) -> list[Tensor]:
    data = {0: b"\0\0\0\0", 1: b"\0\0\x80?", 2: b"\0\0\0@"}[number]
    return [Tensor(dtype=DType.FLOAT32, shape=(1,), data=data)]


def test_a_candidate_that_ended_two_contexts_is_run_no_more(built, settings, quarantine):
    with open_candidate(built, H100, settings=settings, quarantine=quarantine) as session:
        first = session._child
        assert session.call(values(0)).state is ExitState.OK
        assert session._child is first
        fault = session.call(values(1))
        assert (fault.state, fault.context_lost) == (ExitState.MEMORY_ERROR, True)
        assert session._child is None  # the runner of a dead context is replaced
        assert session.call(values(0)).state is ExitState.OK
        trap = session.call(values(2))
        assert (trap.state, trap.context_lost) == (ExitState.LAUNCH_ERROR, True)
        refused = session.call(values(0))
        assert refused.state is ExitState.LAUNCH_ERROR
        assert "quarantined: it ended the device's context 2 times" in refused.message
        assert trap.message in refused.message
        assert session._child is None
    with open_candidate(built, H100, settings=settings, quarantine=quarantine) as again:
        assert again._child is None
        assert again.call(values(0)) == refused


def test_a_simulated_card_is_as_new_after_every_call(built, settings):
    with open_candidate(built, H100, settings=settings) as session:
        states = [session.call(values(number)).state for number in (1, 1, 1, 0)]
    assert states == [ExitState.MEMORY_ERROR] * 3 + [ExitState.OK]
    assert not (settings.cache_dir / "quarantine").exists()


def test_it_is_remembered_by_content_and_by_kind_of_card(built, tmp_path):
    loss = Execution(state=ExitState.MEMORY_ERROR, message="it wrote elsewhere", context_lost=True)
    for _ in range(2):
        Quarantine(tmp_path, "a" * 64, H100).note(loss)
    Quarantine(tmp_path, "b" * 64, H100).note(loss)
    held = {
        (name, device.model)
        for name in ("a", "b")
        for device in (H100, L4)
        if Quarantine(tmp_path, name * 64, device).outcome()
    }
    assert held == {("a", "h100")}


def test_a_record_that_cannot_be_read_holds_nothing(tmp_path):
    one = Quarantine(tmp_path, "a" * 64, H100)
    for _ in range(2):
        one.note(Execution(state=ExitState.MEMORY_ERROR))
    (tmp_path / "h100" / f"{'a' * 64}.json").write_text("torn")
    assert one.outcome() is None
