"""A person submits an op on the page and reads the passed kernel and its speed-up there."""

import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

ROOT = Path(__file__).parents[2]
OP = """import torch
import torch.nn as nn

rows = 64
cols = 256


class Model(nn.Module):
    def forward(self, x):
        return torch.relu(x) * 2.0


def get_inputs():
    return [torch.randn(rows, cols)]


def get_init_inputs():
    return []
"""


def _free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture
def server():
    """Start the real server with its worker; yield its address."""
    port = _free_port()
    process = subprocess.Popen([sys.executable, "-m", "cli.main", "serve", "--port", str(port)], cwd=ROOT)
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert process.poll() is None, "the server ended"
            try:
                with urllib.request.urlopen(address, timeout=5):
                    break
            except OSError:
                time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture
def browser(tmp_path):
    options = webdriver.ChromeOptions()
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={tmp_path / 'profile'}",
    ):
        options.add_argument(flag)
    options.binary_location = "/usr/bin/chromium"
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    yield driver
    driver.quit()


@pytest.mark.slow
def test_an_op_is_submitted_and_its_kernel_is_read_on_the_page(server, browser):
    browser.get(server)
    form = browser.find_element(By.ID, "submit-op")
    source = form.find_element(By.NAME, "source")
    browser.execute_script("arguments[0].value = arguments[1]", source, OP)
    Select(form.find_element(By.NAME, "device")).select_by_value("sim:h100")
    for name, value in (("samples", "1"), ("generations", "0")):
        field = form.find_element(By.NAME, name)
        field.clear()
        field.send_keys(value)
    form.submit()
    # The page replaces its live part while the run goes on.
    wait = WebDriverWait(browser, 180, ignored_exceptions=(StaleElementReferenceException,))
    wait.until(lambda page: page.find_element(By.CSS_SELECTOR, ".run-state").text.strip().lower() == "finished")
    speedup = browser.find_element(By.CSS_SELECTOR, ".best-speedup").text
    assert "modelled" in browser.find_element(By.TAG_NAME, "main").text
    assert float(speedup.split()[0].rstrip("×x")) > 0
    browser.find_element(By.CSS_SELECTOR, '.attempts tr[data-status="passed"] a').click()
    kernel = wait.until(lambda page: page.find_element(By.CSS_SELECTOR, "pre.kernel")).text
    assert "__global__" in kernel
    assert "passed" in browser.find_element(By.TAG_NAME, "main").text
    errors = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert errors == []
