"""Every setting of the agent acts; the order is defaults < file < environment < flags."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from agent.evaluations import Evaluations
from agent.jobs import make_celery
from agent.llm.client import ChatClient
from agent.llm.proposer import LlmProposer
from agent.proposers import endpoint_finding, open_proposer
from agent.scripted import ScriptedEvaluator
from agent.settings import OPENAI_URL, AgentSettings
from dataset.values import Message
from tasks.errors import InfraError, UserError
from tests.agent.openai_server import Answer, ScriptedEndpoint, failure, reply
from tests.agent.samples import sample_config

ASK = (Message(role="user", content="hello"),)


def ask(endpoint: ScriptedEndpoint, **flags: object) -> dict[str, object]:
    ChatClient("scripted", AgentSettings.load(model_base_url=endpoint.url, **flags)).complete(ASK)
    return endpoint.requests[-1]


def test_the_order_is_file_then_environment_then_flags(own_data: Path, monkeypatch: pytest.MonkeyPatch):
    assert AgentSettings.load().model_retries == 4
    (own_data / "kernelwright.toml").write_text("[agent]\nmodel_retries = 1\n")
    assert AgentSettings.load().model_retries == 1
    monkeypatch.setenv("KERNELWRIGHT_MODEL_RETRIES", "2")
    assert AgentSettings.load().model_retries == 2
    assert AgentSettings.load(model_retries=3).model_retries == 3


def test_key_and_url_fall_back_to_openais_names(own_data: Path, monkeypatch: pytest.MonkeyPatch):
    assert AgentSettings.load().model_base_url == OPENAI_URL
    monkeypatch.setenv("OPENAI_API_KEY", "from-openai")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://openai.test/v1")
    settings = AgentSettings.load()
    assert settings.model_base_url == "http://openai.test/v1"
    assert settings.model_api_key is not None
    assert settings.model_api_key.get_secret_value() == "from-openai"
    (own_data / "kernelwright.toml").write_text('[agent]\nmodel_api_key = "from-file"\n')
    settings = AgentSettings.load()
    assert settings.model_api_key is not None
    assert settings.model_api_key.get_secret_value() == "from-file"


def test_a_key_is_never_spelled():
    assert "s3cret" not in repr(AgentSettings.load(model_api_key="s3cret"))


def test_a_base_url_must_be_one():
    with pytest.raises(UserError, match="KERNELWRIGHT_MODEL_BASE_URL"):
        AgentSettings.load(model_base_url="localhost:8000")


def test_the_key_is_sent():
    with ScriptedEndpoint([reply("hi")], key="right") as endpoint:
        assert ask(endpoint, model_api_key="right")["model"] == "scripted"


def test_temperature_and_length_are_sent_only_when_they_are_set():
    with ScriptedEndpoint([reply("hi")]) as endpoint:
        assert ask(endpoint).keys() == {"model", "messages", "stream", "stream_options"}
        sent = ask(endpoint, model_temperature=0.5, model_max_tokens=99)
    assert (sent["temperature"], sent["max_tokens"]) == (0.5, 99)


def test_retries_are_as_many_as_set():
    with ScriptedEndpoint([failure(500, retry_after="0")]) as endpoint:
        with pytest.raises(InfraError):
            ask(endpoint, model_retries=2)
        assert len(endpoint.requests) == 3


def test_a_silent_endpoint_is_given_up_after_its_timeout():
    def stay_silent(body: dict[str, object]) -> Answer:
        time.sleep(1.0)
        return reply("late")

    with (
        ScriptedEndpoint(stay_silent) as endpoint,
        pytest.raises(InfraError, match="did not answer in time; KERNELWRIGHT_MODEL_TIMEOUT_SECONDS"),
    ):
        ask(endpoint, model_timeout_seconds=0.2, model_retries=0)


def test_the_default_model_is_the_offline_proposer_unless_it_is_set(monkeypatch: pytest.MonkeyPatch):
    assert open_proposer().name == "offline"
    monkeypatch.setenv("KERNELWRIGHT_MODEL", "small")
    monkeypatch.setenv("KERNELWRIGHT_MODEL_BASE_URL", "http://localhost:1/v1")
    proposer = open_proposer()
    assert isinstance(proposer, LlmProposer)
    assert proposer.name == "small"
    assert open_proposer("offline").name == "offline"


def test_the_finding_tells_whether_an_endpoint_is_configured(monkeypatch: pytest.MonkeyPatch):
    assert not endpoint_finding().ok
    assert not endpoint_finding().required
    monkeypatch.setenv("KERNELWRIGHT_MODEL_BASE_URL", "http://localhost:1/v1")
    assert endpoint_finding().detail == "http://localhost:1/v1, without a key"
    monkeypatch.setenv("KERNELWRIGHT_MODEL_API_KEY", "s3cret")
    assert endpoint_finding().detail == "http://localhost:1/v1, with a key"


def test_evaluations_default_to_the_cores_and_size_the_pool():
    assert AgentSettings.load().evaluations == os.cpu_count()
    settings = AgentSettings.load(evaluations=3)
    with Evaluations(ScriptedEvaluator(), sample_config(), settings, []) as evaluations:
        assert evaluations._pool._max_workers == 3


def test_broker_and_results_live_in_the_state_folder_unless_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("KERNELWRIGHT_STATE_DIR", str(tmp_path))
    conf = make_celery().conf
    assert conf.broker_transport_options["data_folder_in"] == str(tmp_path / "broker")
    assert conf.result_backend == f"db+sqlite:///{tmp_path / 'results.db'}"
    monkeypatch.setenv("KERNELWRIGHT_BROKER_URL", "redis://localhost:6379/5")
    monkeypatch.setenv("KERNELWRIGHT_RESULT_URL", "redis://localhost:6379/6")
    conf = make_celery().conf
    assert conf.broker_url == "redis://localhost:6379/5"
    assert conf.result_backend == "redis://localhost:6379/6"
    assert conf.broker_transport_options == {"visibility_timeout": 7 * 24 * 3600}


def test_the_manual_names_every_setting():
    manual = (Path(__file__).parents[2] / "docs" / "agent.md").read_text(encoding="utf-8")
    missing = [name for name in AgentSettings.model_fields if f"`{name}`" not in manual]
    assert missing == []
