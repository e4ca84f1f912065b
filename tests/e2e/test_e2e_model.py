"""The whole way with a model: real client, real HTTP, real compiler, the simulated GPU."""

import contextlib
from pathlib import Path

import pytest

from tests.agent.openai_server import ScriptedEndpoint, failure, reply

ROOT = Path(__file__).parents[2]
RIGHT_KERNEL = (ROOT / "examples" / "kernels" / "relu.cu").read_text()
WRONG_KERNEL = (ROOT / "tests" / "verifier" / "broken" / "relu_broken.cu").read_text()
GOOD = f"Here it is.\n\n```cuda\n{RIGHT_KERNEL}```\n"
WRONG = f"Here it is.\n\n```cuda\n{WRONG_KERNEL}```\n"
PROSE = "I would rather not write code today."


@pytest.fixture
def ask(kernelwright, monkeypatch):
    """Optimise relu against an endpoint that answers by script; return the ending and the requests it saw."""

    def run(*answers, key=None, samples=1, repairs=1, retries=2):
        monkeypatch.setenv("KERNELWRIGHT_MODEL_API_KEY", key or "any")
        monkeypatch.setenv("KERNELWRIGHT_MODEL_RETRIES", str(retries))
        with ScriptedEndpoint(answers, key="right" if key else None) as endpoint:
            monkeypatch.setenv("KERNELWRIGHT_MODEL_BASE_URL", endpoint.url)
            ending = kernelwright(
                "optimize", "relu", "--model", "scripted", "--device", "sim:h100", "--samples", samples,
                "--repairs", repairs, "--generations", 0, "--seed", 3, "--json",
            )  # fmt: skip
            return ending, list(endpoint.requests)

    return run


def _statuses(ending):
    return [a["verdict"]["status"] if a["verdict"] else a["problem"] for a in ending.json()["attempts"]]


@pytest.mark.slow
def test_a_good_reply_passes(ask):
    ending, requests = ask(reply(GOOD, reasoning="One thread per element."))
    assert ending.code == 0, ending.err
    best = ending.json()["best"]
    assert best["trace"]["reasoning"] == "One thread per element."
    assert best["trace"]["kind"] == "model"
    assert len(requests) == 1


@pytest.mark.slow
def test_a_wrong_kernel_is_repaired_on_the_second_turn(ask):
    ending, requests = ask(reply(WRONG), reply(GOOD))
    assert ending.code == 0, ending.err
    first, second = _statuses(ending)
    assert first != "passed"
    assert second == "passed"
    assert ending.json()["best"]["parents"] == [ending.json()["attempts"][0]["number"]]
    asked_again = requests[1]["messages"][-1]["content"]
    assert first in asked_again


@pytest.mark.slow
def test_no_code_and_a_broken_off_stream_are_recorded_and_outlived(ask):
    ending, _ = ask(
        reply(PROSE), reply(GOOD[:200], finish_reason=None, break_off=True), reply(GOOD), samples=2, repairs=1
    )
    assert ending.code == 0, ending.err
    problems = " / ".join(_statuses(ending))
    assert "code" in problems
    assert "passed" in problems


@pytest.mark.slow
def test_429_and_500_are_retried(ask):
    ending, requests = ask(failure(429, retry_after="0"), failure(500), reply(GOOD))
    assert ending.code == 0, ending.err
    assert len(requests) == 3
    assert _statuses(ending) == ["passed"]


def test_a_refused_key_names_the_setting(ask):
    ending, _ = ask(reply(GOOD), key="wrong")
    assert ending.code == 2
    assert "KERNELWRIGHT_MODEL_API_KEY" in " ".join(ending.err.split())
    assert ending.json()["error"] == "user"


def test_a_dead_endpoint_is_one_sentence(kernelwright, monkeypatch):
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(ScriptedEndpoint([])).url
    monkeypatch.setenv("KERNELWRIGHT_MODEL_BASE_URL", url)
    monkeypatch.setenv("KERNELWRIGHT_MODEL_API_KEY", "any")
    monkeypatch.setenv("KERNELWRIGHT_MODEL_RETRIES", "0")
    ending = kernelwright("optimize", "relu", "--model", "scripted", "--device", "sim:h100")
    assert ending.code in {2, 3}
    assert url in " ".join(ending.err.split())
    assert "Traceback" not in ending.err
