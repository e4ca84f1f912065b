"""Machine code kept on disk: found again by content, and never trusted when it is damaged or anybody's."""

import ctypes
import os
import subprocess
import sys

import pytest

from simgpu.objects import FOLDER_VARIABLE, ObjectCache, content_key, default_folder
from simgpu.runtime.engine import MachineCode

ANSWER = "define i32 @answer() {{ ret i32 {} }}"


@pytest.fixture
def cache(tmp_path):
    return ObjectCache(tmp_path / "objects")


def answer(cache, number):
    code = MachineCode(ANSWER.format(number), speed=2, cache=cache)
    return ctypes.CFUNCTYPE(ctypes.c_int)(code.address("answer"))()


def entries(cache):
    return sorted(cache.folder.glob("*.obj"))


def test_code_is_compiled_once_and_then_read(cache, tmp_path):
    other = ObjectCache(tmp_path / "other")
    assert answer(cache, 1) == 1
    assert answer(other, 2) == 2
    (first,), (second,) = entries(cache), entries(other)
    first.write_bytes(second.read_bytes())
    assert answer(cache, 1) == 2  # the other function's code, so nothing was compiled


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-5], lambda data: data[:60] + b"?" + data[61:], lambda data: data[:0]]
)
def test_a_damaged_entry_is_compiled_anew(cache, damage):
    answer(cache, 3)
    (entry,) = entries(cache)
    whole = entry.read_bytes()
    entry.write_bytes(damage(whole))
    assert answer(cache, 3) == 3
    assert entry.read_bytes() == whole


def test_what_others_can_write_is_not_run(cache):
    cache.store("key", b"code")
    cache.folder.chmod(0o777)
    assert cache.load("key") is None
    cache.folder.chmod(0o700)
    (cache.folder / "key.obj").chmod(0o666)
    assert cache.load("key") is None


def test_without_a_usable_folder_kernels_compile_all_the_same(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    assert answer(ObjectCache(blocked), 4) == 4
    assert answer(ObjectCache(blocked / "below"), 4) == 4


@pytest.mark.skipif(os.getuid() == 0, reason="root writes to read-only folders")
def test_a_read_only_folder_still_serves(cache):
    cache.store("key", b"code")
    cache.folder.chmod(0o500)
    cache.store("other", b"code")
    assert (cache.load("key"), cache.load("other")) == (b"code", None)


def test_the_entry_used_longest_ago_goes_first(cache):
    for number, key in enumerate("abc"):
        cache.store(key, bytes(1000))
        os.utime(cache.folder / f"{key}.obj", (number, number))
    assert cache.load("a") is not None  # used now, so `b` is the oldest
    ObjectCache(cache.folder, limit_bytes=3_500).store("d", bytes(1000))
    assert [path.stem for path in entries(cache)] == ["a", "c", "d"]


STORE_OFTEN = """
import sys
from pathlib import Path
from simgpu.objects import ObjectCache, content_key
cache, number = ObjectCache(Path(sys.argv[1]), limit_bytes=20_000), int(sys.argv[2])
for turn in range(30):
    cache.store(content_key(str(turn % 5)), bytes([turn % 5]) * 5_000)
    data = cache.load(content_key(str((turn + number) % 5)))
    assert data is None or set(data) == {(turn + number) % 5}
"""


def test_processes_share_a_folder(cache):
    command = [sys.executable, "-c", STORE_OFTEN, str(cache.folder)]
    processes = [subprocess.Popen([*command, str(number)]) for number in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert all(path.suffix == ".obj" for path in cache.folder.iterdir())


def test_the_folder_is_named_by_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    assert default_folder() == tmp_path / "simgpu"
    monkeypatch.delenv(FOLDER_VARIABLE)
    assert default_folder().name == "simgpu"


def test_parts_of_a_key_do_not_run_together():
    assert content_key("ab", "c") != content_key("a", "bc")
