"""Other sites are kept out, and a browser may do little with what it gets."""

from __future__ import annotations

import re

import httpx
import pytest

from sandbox.settings import IsolationChoice
from tasks.errors import UserError
from web.address import host_names, listen, refuse_remote
from web.serve import serve
from web.settings import WebSettings

FORM = {"task": "gelu", "device": "auto", "samples": "1", "generations": "0", "population": "1"}


def test_a_form_of_another_site_is_refused(site, client):
    foreign = [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": site.address.replace("127.0.0.1", "localhost")},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ]
    for headers in foreign:
        for address in ("/runs", "/api/runs", "/runs/x/cancel", "/api/runs/x/cancel"):
            answer = client.post(address, data=FORM, headers=headers)
            assert answer.status_code == 403, (headers, address)
            assert "another site" in answer.text
    assert site.archive.runs() == ()


def test_a_form_of_this_site_and_a_program_are_let_through(site, client):
    own = client.post("/runs", data=FORM, headers={"Origin": site.address, "Sec-Fetch-Site": "same-origin"})
    assert own.status_code == 303
    assert client.post("/api/runs", json={"task": "gelu"}).status_code == 201


def test_a_foreign_host_name_is_refused_so_that_dns_rebinding_gains_nothing(client):
    for host in ("evil.example", "evil.example:8000", "", "127.0.0.1.evil.example", "[::1", "user@localhost:bad"):
        answer = client.get("/api/runs", headers={"Host": host})
        assert answer.status_code in {400, 403}, host
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 403
    for host in ("localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]:8000"):
        assert client.get("/api/runs", headers={"Host": host}).status_code == 200, host


def test_every_answer_carries_the_security_headers(client):
    for address in ("/", "/api/runs", "/static/style.css", "/nope", "/highlight.css"):
        headers = client.get(address).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"


def test_a_body_must_be_small_and_of_known_length(client):
    assert client.post("/api/runs", content=b"x" * (4 << 20)).status_code == 422

    def chunks():
        yield b"{}"

    answer = client.post("/api/runs", content=chunks(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert "length" in answer.json()["error"]["message"]


def test_no_page_loads_from_elsewhere_or_holds_inline_scripts_or_styles(site, client):
    run = site.stage.finished_run()
    active = site.stage.run(seed=8)
    pages = [
        "/",
        f"/runs/{run.id}",
        f"/runs/{active.id}",
        f"/runs/{run.id}/attempts/4",
        "/kernels",
        f"/kernels/diff?left={run.id}:0&right={run.id}:4",
        "/tasks",
        "/tasks/softmax",
        "/dataset",
        "/nope",
    ]
    for page in pages:
        text = client.get(page).text
        addresses = re.findall(r'(?:href|src|action)="([^"]*)"', text)
        assert addresses
        assert all(address.startswith(("/", "#")) and not address.startswith("//") for address in addresses), page
        assert re.findall(r"<script(?![^>]*\bsrc=)", text) == [], page
        assert re.findall(r"<style|\sstyle=|\son[a-z]+=", text) == [], page


def test_addresses_beyond_loopback_are_refused_unless_allowed():
    closed, opened = WebSettings(), WebSettings(allow_remote=True, allowed_hosts=("kernels.lan",))
    for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost"):
        refuse_remote(host, closed, IsolationChoice.AUTO)
    for host in ("0.0.0.0", "::", "192.168.1.5", "kernels.lan"):  # noqa: S104 - refused here
        with pytest.raises(UserError, match=r"there is no login.*KERNELWRIGHT_ALLOW_REMOTE"):
            refuse_remote(host, closed, IsolationChoice.AUTO)
        refuse_remote(host, opened, IsolationChoice.AUTO)
    assert "kernels.lan" in host_names("127.0.0.1", opened)
    assert "192.168.1.5" in host_names("192.168.1.5", opened)
    assert host_names("127.0.0.1", closed) == {"localhost", "127.0.0.1", "::1"}


def test_beyond_loopback_nothing_runs_unisolated():
    opened = WebSettings(allow_remote=True)
    refuse_remote("127.0.0.1", opened, IsolationChoice.PROCESS)
    with pytest.raises(UserError, match="KERNELWRIGHT_ISOLATION=process"):
        refuse_remote("192.168.1.5", opened, IsolationChoice.PROCESS)


def test_a_server_beyond_loopback_does_not_start_without_isolation(monkeypatch):
    monkeypatch.setenv("KERNELWRIGHT_ISOLATION", "process")
    monkeypatch.setenv("KERNELWRIGHT_ALLOW_REMOTE", "true")
    with pytest.raises(UserError, match="KERNELWRIGHT_ISOLATION=process"):
        serve("0.0.0.0", 0)  # noqa: S104 - refused here


def test_the_settings_act(monkeypatch):
    monkeypatch.setenv("KERNELWRIGHT_ALLOW_REMOTE", "true")
    monkeypatch.setenv("KERNELWRIGHT_ALLOWED_HOSTS", '["kernels.lan"]')
    assert WebSettings.load() == WebSettings(allow_remote=True, allowed_hosts=("kernels.lan",))


def test_a_port_in_use_and_a_foreign_address_are_sentences():
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(UserError, match=f"Port {port} on 127.0.0.1 is in use"), listen("127.0.0.1", port):
            pass
    with pytest.raises(UserError, match="not an address of this machine"), listen("198.51.100.1", 0):
        pass
    with pytest.raises(UserError, match="not an address of this machine"), listen("no-such-host.invalid", 0):
        pass


def test_connecting_by_a_refused_host_starts_nothing(site):
    with httpx.Client(base_url=site.address, headers={"Host": "evil.example"}) as client:
        assert client.post("/runs", data=FORM).status_code == 403
    assert site.archive.runs() == ()
