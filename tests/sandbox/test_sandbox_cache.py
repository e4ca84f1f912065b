from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.build.cache import BuildCache, content_key
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


def test_concurrent_builders_agree_on_one_entry(tmp_path):
    barrier = threading.Barrier(8)
    folders = []

    def one(number: int) -> None:
        def fill(folder: Path) -> None:
            (folder / "artefact").write_text(str(number))
            barrier.wait()

        folders.append(BuildCache(tmp_path).entry("aa" * 32, fill).folder)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(folders)) == 1
    assert BuildCache(tmp_path).entry("aa" * 32, refuse).cached
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_cache_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InfraError, match="KERNELWRIGHT_CACHE_DIR"):
        BuildCache(tmp_path / "file" / "cache")
