"""Fixtures: a simulated card that Triton uses, with Triton's cache in a folder of the session's own."""

import pytest

pytest.importorskip("triton")

from simgpu.triton import install


@pytest.fixture(scope="session")
def triton_environment(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_CACHE_DIR", str(tmp_path_factory.mktemp("triton")))
        patch.setenv("TRITON_DEFAULT_FP_FUSION", "1")  # said explicitly, or Triton warns
        yield


@pytest.fixture
def card(triton_environment):
    with install("h100") as card:
        yield card
