"""Results that change after the call returned; who changes them is known here, so that no test depends on time."""

import threading

from sandbox.child.lateness import LateWrites
from sandbox.values import Tensor
from tasks.values import DType


def tensor(*values: int) -> Tensor:
    return Tensor(dtype=DType.UINT8, shape=(len(values),), data=bytes(values))


def test_what_stays_as_it_was_is_not_late():
    assert LateWrites().among((tensor(1), tensor(2)), lambda: (tensor(1), tensor(2))) == ""


def test_the_output_that_changed_is_named():
    said = LateWrites().among((tensor(1), tensor(2)), lambda: (tensor(1), tensor(3)))
    assert said == "output 1 was still being written after the call had returned"


def test_a_thread_that_the_call_left_behind_is_waited_for():
    """It writes once the results were read for the first time, and the second reading waits until it has."""
    memory = bytearray(1)
    first_read, written = threading.Event(), threading.Event()

    def work():
        first_read.wait()
        memory[0] = 7
        written.set()

    watch = LateWrites()
    threading.Thread(target=work, daemon=True).start()
    outputs = (tensor(*memory),)
    first_read.set()

    def read():
        written.wait()
        return (tensor(*memory),)

    assert watch.among(outputs, read)
