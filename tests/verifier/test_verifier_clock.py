import time

from sandbox.values import ReferenceResult
from tasks.values import Precision
from verifier.clock import Clock, ClockedReference
from verifier.values import Stage


class SlowToStart:
    """Takes 60 ms for its first answer, of which it says that 10 were work, and none for the next."""

    def __init__(self):
        self.asked = 0

    def run(self, *_):
        self.asked += 1
        if self.asked == 1:
            time.sleep(0.06)
        return ReferenceResult(outputs=(), seconds=0.01)


def test_the_wait_for_a_process_counts_as_start_up_once():
    clock = Clock()
    reference = ClockedReference(SlowToStart(), clock)
    for _ in range(2):
        with clock.timed(Stage.REFERENCE):
            reference.run(None, {}, Precision.NATIVE)
    assert clock.seconds[Stage.START_UP] >= 0.05
    assert clock.seconds[Stage.REFERENCE] < 0.05


def test_stages_add_up_to_what_was_timed():
    clock = Clock()
    start = time.perf_counter()
    with clock.timed(Stage.CANDIDATE):
        time.sleep(0.02)
    clock.move(Stage.CANDIDATE, Stage.START_UP, 0.015)
    assert 0.02 <= sum(clock.seconds.values()) <= time.perf_counter() - start
    assert clock.seconds[Stage.START_UP] == 0.015
