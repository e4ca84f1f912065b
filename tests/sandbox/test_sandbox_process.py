from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox.cgroup import ControlGroup
from sandbox.channel import Message
from sandbox.isolation import Mounts, ProcessIsolation
from sandbox.process import HeldChild, HeldProcess, ProcessFailedError
from sandbox.values import ExitState, Limits
from tasks.errors import InfraError

MARK = "600.0625"


def running(mark: str = MARK) -> str:
    return subprocess.run(["/usr/bin/pgrep", "-f", f"sleep {mark}"], capture_output=True, text=True, check=False).stdout


@contextmanager
def held(isolation, script, **limits):
    command = ["/bin/sh", "-c", script]
    with HeldProcess(command, isolation=isolation, limits=Limits(**limits), mounts=Mounts()) as process:
        yield process


def test_exit_code_and_output_come_back(isolation):
    with held(isolation, "echo out; echo err >&2; exit 3") as process:
        finished = process.wait(20)
    assert (finished.code, finished.output) == (3, "err\nout")


def test_a_signal_is_a_code_above_128(isolation):
    with held(isolation, "kill -SEGV $$") as process:
        assert process.wait(20).code == 128 + 11


def test_output_is_bounded_and_never_blocks(isolation):
    with held(isolation, "yes | head -c 3000000; echo the end") as process:
        finished = process.wait(20)
    assert finished.code == 0
    assert len(finished.output) <= 2 * (64 << 10) + 1
    assert finished.output.endswith("the end")


def test_time_is_bounded(isolation):
    start = time.monotonic()
    with held(isolation, f"sleep {MARK}") as process, pytest.raises(ProcessFailedError) as failure:
        process.wait(0.3)
    assert failure.value.state is ExitState.TIMEOUT
    assert time.monotonic() - start < 5
    assert running() == ""


def test_memory_is_bounded(isolation):
    script = f"exec {sys.executable} -c 'x = bytearray(400 << 20); import time; time.sleep(60)'"
    with held(isolation, script, memory_bytes=200 << 20) as process, pytest.raises(ProcessFailedError) as failure:
        process.wait(30)
    assert failure.value.state is ExitState.OUT_OF_MEMORY


def test_a_file_cannot_grow_beyond_its_limit(isolation):
    with held(
        isolation,
        "head -c 3000000 /dev/zero > /tmp/kernelwright-big; ls -l /tmp/kernelwright-big; rm -f /tmp/kernelwright-big",
        file_bytes=1 << 20,
    ) as process:
        assert " 1048576 " in process.wait(20).output


def test_processor_time_is_bounded(isolation):
    with held(isolation, "while :; do :; done", cpu_seconds=1) as process:
        assert process.wait(20).code in {128 + 9, 128 + 24}


def test_a_process_that_multiplies_is_ended_whole(isolation):
    script = f"while :; do setsid sleep {MARK} & done"
    # Where the kernel holds the limit, the shell itself fails to start another.
    with held(isolation, script, processes=40) as process, suppress(ProcessFailedError):
        assert process.wait(20).code != 0
    assert running() == ""


@pytest.mark.parametrize(
    "script", [f"setsid sleep {MARK} & exit 0", f"(setsid sh -c 'sleep {MARK} & sleep {MARK}' &) ; sleep 0.2"]
)
def test_nothing_outlives_the_command(isolation, script):
    with held(isolation, script) as process:
        assert process.wait(20).code == 0
    assert running() == ""


def test_leaving_the_block_ends_everything(isolation):
    with held(isolation, f"setsid sleep {MARK} & sleep {MARK}") as process:
        time.sleep(0.3)
        del process
    assert running() == ""


def test_the_environment_is_an_allow_list(isolation, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "hunter2")
    with held(isolation, "env; cat /proc/1/environ /proc/$PPID/environ 2>/dev/null | tr '\\0' '\\n'") as process:
        output = process.wait(20).output
    assert "PATH=" in output
    assert "hunter2" not in output


def test_no_descriptor_is_inherited(isolation):
    with Path("/etc/hostname").open() as secret, held(isolation, "ls /proc/self/fd") as process:
        listed = process.wait(20).output.split()
        assert secret.fileno() > 2
    assert set(listed) <= {"0", "1", "2", "3"}


def test_a_program_that_is_not_there_is_no_fault_of_the_candidate():
    class Broken(ProcessIsolation):
        def launch(self, command, limits, mounts, home=None):
            return replace(super().launch(command, limits, mounts, home), command=["/nonexistent/bwrap", *command])

    with pytest.raises(InfraError, match="cannot be started"):
        HeldProcess(["/bin/true"], isolation=Broken(), limits=Limits(), mounts=Mounts())


class Counted(ControlGroup):
    """A group whose counters are a plain folder's."""

    def remove(self):
        return True


class Grouped(ProcessIsolation):
    def __init__(self, folder):
        self.folder = folder

    def launch(self, command, limits, mounts, home=None):
        return replace(super().launch(command, limits, mounts, home), group=Counted(self.folder, bounded=True))


def test_what_the_kernel_ends_at_the_groups_bound_ran_out_of_memory(tmp_path):
    script = f"echo 'oom_kill 1' > {tmp_path}/memory.events; kill -9 $$"
    with (
        HeldProcess(
            ["/bin/sh", "-c", script], isolation=Grouped(tmp_path), limits=Limits(), mounts=Mounts()
        ) as process,
        pytest.raises(ProcessFailedError, match="more than 6144 MiB") as failure,
    ):
        process.wait(20)
    assert failure.value.state is ExitState.OUT_OF_MEMORY


def test_a_child_that_runs_out_of_memory_before_its_greeting_is_no_fault_of_what_it_would_run(tmp_path):
    script = f"open({str(tmp_path / 'memory.events')!r}, 'w').write('oom_kill 1'); import os; os.kill(os.getpid(), 9)"
    command = [sys.executable, "-I", "-B", "-c", script]
    with (
        HeldChild(command, isolation=Grouped(tmp_path), limits=Limits(), mounts=Mounts()) as one,
        pytest.raises(InfraError, match="more than 6144 MiB"),
    ):
        one.exchange(Message(""), 20)


CHILD = """
import socket, sys, time
from sandbox.channel import GREETING, Message, receive, send
end = socket.socket(fileno=int(sys.argv[1]))
send(end, GREETING)
while (message := receive(end)) is not None:
    exec(message.body)
"""


@contextmanager
def child(isolation, **limits):
    command = [sys.executable, "-I", "-B", "-c", CHILD]
    with HeldChild(command, isolation=isolation, limits=Limits(**limits), mounts=Mounts()) as held_child:
        yield held_child


@pytest.mark.parametrize(
    ("script", "sentence"),
    [("import no_such_module", "No module named 'no_such_module'"), ("print('hello')", "exited with code 0")],
)
def test_a_child_that_does_not_come_to_its_greeting_is_no_fault_of_what_it_would_run(isolation, script, sentence):
    command = [sys.executable, "-I", "-B", "-c", script]
    with (
        HeldChild(command, isolation=isolation, limits=Limits(), mounts=Mounts()) as one,
        pytest.raises(InfraError, match=sentence),
    ):
        one.exchange(Message(""), 20)


def test_a_child_that_greets_as_another_version_is_refused(isolation):
    script = CHILD.replace("GREETING)", "Message('hello'))")
    with (
        HeldChild(
            [sys.executable, "-I", "-B", "-c", script], isolation=isolation, limits=Limits(), mounts=Mounts()
        ) as one,
        pytest.raises(InfraError, match="another version"),
    ):
        one.exchange(Message(""), 20)


def test_a_forked_process_starts_children_of_its_own():
    text = """
import os, signal
from sandbox.isolation import Mounts, ProcessIsolation
from sandbox.process import HeldProcess
from sandbox.values import Limits

def run():
    with HeldProcess(["/bin/echo", "held"], isolation=ProcessIsolation(), limits=Limits(), mounts=Mounts()) as process:
        return process.wait(20).output
run()
child = os.fork()
if child == 0:
    signal.alarm(30)
    os._exit(run() != "held")
print(os.waitpid(child, 0)[1])
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"


def test_a_child_outlives_the_thread_that_started_it(isolation):
    found = []

    def start():
        one = HeldChild(
            [sys.executable, "-I", "-B", "-c", CHILD], isolation=isolation, limits=Limits(), mounts=Mounts()
        )
        found.append((one, one.exchange(Message("send(end, Message('first'))"), 20).body))

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    one, first = found[0]
    with one:
        assert (first, one.exchange(Message("send(end, Message('second'))"), 20).body) == ("first", "second")


def test_a_child_answers_again_and_again(isolation):
    with child(isolation) as one:
        for number in range(3):
            assert one.exchange(Message(f"send(end, Message('{number}'))"), 20).body == str(number)


@pytest.mark.parametrize(
    ("body", "state", "message"),
    [
        ("import os; os.kill(os.getpid(), 11)", ExitState.CRASHED, "SIGSEGV"),
        ("import os; os._exit(0)", ExitState.CRASHED, "exited with code 0"),
        ("end.sendall(b'x' * 4096)", ExitState.CRASHED, "does not begin as one"),
        ("end.sendall(b'KWFRAME1' + b'\\xff' * 16)", ExitState.CRASHED, "beyond the limits"),
        ("time.sleep(60)", ExitState.TIMEOUT, "within its time"),
        (
            "end.sendall(b'KWFRAME1' + (100).to_bytes(8, 'little') * 2)\nwhile 1: end.sendall(b'x'); time.sleep(0.001); end.sendall(b'')",
            ExitState.CRASHED,
            "header",
        ),
        (
            "end.sendall(b'KWFRAME1' + (9).to_bytes(8, 'little') + (1 << 31).to_bytes(8, 'little'))\nwhile 1: end.sendall(b'x' * 100)",
            ExitState.TIMEOUT,
            "time",
        ),
        ("end.close(); time.sleep(60)", ExitState.CRASHED, "closed its channel"),
    ],
    ids=["segfault", "exit", "noise", "oversized", "late", "bad-header", "endless", "closed"],
)
def test_a_child_that_misbehaves_is_ended(isolation, body, state, message):
    with child(isolation) as one:
        with pytest.raises(ProcessFailedError) as failure:
            one.exchange(Message(body), 1.5)
        assert failure.value.state is state
        assert message in failure.value.message


def test_an_answer_sent_in_advance_is_refused(isolation):
    with child(isolation) as one:
        one.exchange(Message("send(end, Message('1')); send(end, Message('2'))"), 20)
        time.sleep(0.2)
        with pytest.raises(ProcessFailedError, match="before it was asked"):
            one.exchange(Message("send(end, Message('3'))"), 20)


def test_a_folder_that_is_closed_to_others_is_lent_and_given_back(isolation, tmp_path):
    folder = tmp_path / "job"
    folder.mkdir(mode=0o700)
    (folder / "question").write_text("what?")
    mounts = Mounts(writable=(folder,), folder=folder)
    script = "cat question; mkdir made; echo that > made/answer; chmod 600 made/answer; ln -s /etc/shadow made/link"
    with HeldProcess(["/bin/sh", "-c", script], isolation=isolation, limits=Limits(), mounts=mounts) as process:
        finished = process.wait(20)
    assert (finished.code, finished.output) == (0, "what?")
    assert (folder / "made" / "answer").read_text() == "that\n"
    assert {path.lstat().st_uid for path in (folder, *folder.rglob("*"))} == {os.geteuid()}


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("i=0; while dd if=/dev/zero of=$i bs=1M count=1; do i=$((i+1)); done", "wrote more than 8 MiB"),
        ("i=0; while : > $i; do i=$((i+1)); done", "made more than 300 files"),
    ],
)
def test_the_hosts_disk_is_not_filled(isolation, tmp_path, script, message):
    limits = Limits(disk_bytes=8 << 20, files=300)
    mounts = Mounts(writable=(tmp_path,), folder=tmp_path)
    with (
        HeldProcess(["/bin/sh", "-c", script], isolation=isolation, limits=limits, mounts=mounts) as process,
        pytest.raises(ProcessFailedError, match=message),
    ):
        process.wait(30)
