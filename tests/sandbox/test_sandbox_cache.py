from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.build.cache import BuildCache, content_key
from sandbox.isolation import PACKAGES
from sandbox.leases import hold
from sandbox.scratch import sweep
from tasks.errors import InfraError


def writer(text: str):
    def fill(folder: Path) -> None:
        (folder / "artefact").write_text(text)

    return fill


def refuse(folder: Path) -> None:
    raise AssertionError("it was cached")


@given(st.lists(st.binary(max_size=4), max_size=4), st.lists(st.binary(max_size=4), max_size=4))
def test_different_parts_have_different_keys(a, b):
    assert (content_key(*a) == content_key(*b)) == (a == b)


def test_an_entry_is_built_once(tmp_path):
    cache = BuildCache(tmp_path)
    first = cache.entry("ab" * 32, writer("1"))
    again = BuildCache(tmp_path).entry("ab" * 32, refuse)
    assert (first.cached, again.cached) == (False, True)
    assert (again.folder / "artefact").read_text() == "1"


@pytest.mark.parametrize("damage", ["change", "remove", "manifest"])
def test_a_damaged_entry_is_built_again(tmp_path, damage):
    cache = BuildCache(tmp_path)
    folder = cache.entry("cd" * 32, writer("1")).folder
    if damage == "change":
        (folder / "artefact").write_text("2")
    elif damage == "remove":
        (folder / "artefact").unlink()
    else:
        (folder / "manifest.json").write_text("[")
    entry = cache.entry("cd" * 32, writer("3"))
    assert not entry.cached
    assert (entry.folder / "artefact").read_text() == "3"
    assert cache.entry("cd" * 32, refuse).cached


def test_a_failed_build_leaves_nothing(tmp_path):
    cache = BuildCache(tmp_path)

    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cache.entry("ef" * 32, fail)
    assert list((tmp_path / "scratch").iterdir()) == []
    assert not cache.entry("ef" * 32, writer("1")).cached


def test_the_same_content_is_built_once_however_many_ask(tmp_path):
    made = []

    def fill(folder: Path) -> None:
        made.append(folder)
        time.sleep(0.1)
        (folder / "artefact").write_text("1")

    found = []
    threads = [
        threading.Thread(target=lambda: found.append(BuildCache(tmp_path).entry("aa" * 32, fill))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert sorted(entry.cached for entry in found) == [False] + [True] * 7
    assert left(tmp_path) == []


def test_two_builders_agree_on_one_entry_even_without_the_lock(tmp_path):
    both, first_is_in = threading.Barrier(2, timeout=20), threading.Event()
    key = "aa" * 32
    found = []

    def one(number: int) -> None:
        def fill(folder: Path) -> None:
            (folder / "artefact").write_text(str(number))
            (tmp_path / "locks" / key).unlink()
            first_is_in.set()
            both.wait()

        found.append(BuildCache(tmp_path).entry(key, fill).folder)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(2)]
    threads[0].start()
    assert first_is_in.wait(20)
    threads[1].start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert BuildCache(tmp_path).entry(key, refuse).cached
    assert left(tmp_path) == []


def left(root: Path) -> list[str]:
    """What a cache has beside its entries."""
    places = [*(root / "scratch").iterdir(), *(root / "locks").iterdir()]
    return sorted(place.name for place in places if place.name != "store")


def keys(root: Path) -> set[str]:
    return {place.name[:2] for place in (root / "builds").glob("*/*")}


def test_the_longest_unused_entries_go_first_when_the_cache_is_full(tmp_path):
    cache = BuildCache(tmp_path, max_bytes=3500, kept_seconds=0.0)
    for number, name in enumerate("abc"):
        place = cache.entry(name * 64, writer("x" * 1000)).folder
        os.utime(place / "manifest.json", (number, number))
    assert cache.find("a" * 64)  # used again, so `b` is now the oldest
    cache.entry("d" * 64, writer("x" * 1000))
    assert keys(tmp_path) == {"aa", "cc", "dd"}
    assert left(tmp_path) == []


def test_what_is_held_or_was_just_used_is_never_thrown_away(tmp_path):
    held, loose = (BuildCache(tmp_path).entry(name * 64, writer("1")).folder for name in "ab")
    full = BuildCache(tmp_path, max_bytes=1, kept_seconds=0.0)
    with hold(held):
        full.entry("c" * 64, writer("1"))
        assert held.is_dir()
        assert not loose.exists()
    young = BuildCache(tmp_path, max_bytes=1, kept_seconds=3600.0)
    young.entry("d" * 64, writer("1"))
    assert held.is_dir()
    full.entry("e" * 64, writer("1"))
    assert not held.exists()
    with pytest.raises(InfraError, match="gone from the build cache"), hold(held):
        pass


def test_what_a_killed_builder_leaves_is_swept_and_built_again(tmp_path):
    script = """
import os, signal, sys
from pathlib import Path
from sandbox.build.cache import BuildCache
def fill(folder):
    (folder / "half").write_text("x")
    os.kill(os.getpid(), signal.SIGKILL)
BuildCache(Path(sys.argv[1])).entry("ab" * 32, fill)
"""
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False, cwd=PACKAGES)
    assert killed.returncode == -signal.SIGKILL
    assert len(left(tmp_path)) == 2
    entry = BuildCache(tmp_path).entry("ab" * 32, writer("1"))
    assert (entry.folder / "artefact").read_text() == "1"
    assert not (entry.folder / "half").exists()
    assert len(sweep(tmp_path / "scratch", settled_seconds=0.0)) == 1
    assert left(tmp_path) == []


def test_a_cache_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InfraError, match="KERNELWRIGHT_CACHE_DIR"):
        BuildCache(tmp_path / "file" / "cache")
