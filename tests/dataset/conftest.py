"""Fixtures of the dataset's tests: a database of each kind, and values to store."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from dataset.archive import Archive
from dataset.values import Message, RunConfig, Trace, TraceKind
from sandbox.values import Basis, Candidate, Language, SourceFile
from tasks.values import Axis, DType, InputSpec, Provenance, ReferenceForm, Task, Workload
from verifier.values import Check, Measurement, Status, Verdict, WorkloadTiming


class PostgresServer:
    """A PostgreSQL server of our own, reached by a unix socket only; as root it runs as another user."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        # A socket's path may have 107 characters: pytest's temporary folders are too deep.
        self._folder = Path(tempfile.mkdtemp(prefix="kw-pg-"))
        self._user = _other_user() if os.geteuid() == 0 else None
        if self._user is not None:
            shutil.chown(self._folder, self._user, self._user)
        self._data = self._folder / "data"

    def start(self) -> None:
        self._run("initdb", "-D", self._data, "-U", "kernelwright", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"-k {self._folder} -c listen_addresses='' -c fsync=off -c max_connections=60"
        self._run("pg_ctl", "-D", self._data, "-l", self._folder / "log", "-w", "-o", options, "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self._data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(self._folder)

    def fresh_database(self) -> str:
        name = f"kw_{secrets.token_hex(6)}"
        with psycopg.connect(self._conninfo("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return f"postgresql://kernelwright@/{name}?host={self._folder}"

    def drop(self, url: str) -> None:
        name = url.removeprefix("postgresql://kernelwright@/").partition("?")[0]
        with psycopg.connect(self._conninfo("postgres"), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())

    def _conninfo(self, database: str) -> str:
        return f"host={self._folder} user=kernelwright dbname={database}"

    def _run(self, program: str, *arguments: str | Path) -> None:
        subprocess.run(
            [self._binaries / program, *arguments],
            check=True,
            user=self._user,
            group=self._user,
            extra_groups=None if self._user is None else [],
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            timeout=60,
        )


def _other_user() -> str:
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _postgres_binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    if found:
        return found[-1].parent
    return Path(on_path).resolve().parent if on_path else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    binaries = _postgres_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server is installed (initdb)")
    server = PostgresServer(binaries)
    server.start()
    yield server
    server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'kernelwright.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    url = server.fresh_database()
    yield url
    server.drop(url)


@pytest.fixture
def archive(database_url: str) -> Iterator[Archive]:
    with Archive.open(database_url) as opened:
        yield opened


SOURCE = "import torch\n\nrows = 8\n\ndef f(x):\n    return torch.relu(x)\n\ndef get_inputs():\n    return [torch.rand(rows)]\n"


def make_task(slug: str = "relu", licence: str = "MIT") -> Task:
    workload = Workload(
        name="public-0",
        axes={"zebra": 3, "rows": 8},
        inputs=(InputSpec(name="x", shape=(8,), dtype=DType.FLOAT32),),
    )
    return Task(
        slug=slug,
        title="Rectifier",
        source=SOURCE,
        form=ReferenceForm.FUNCTION,
        entry="f",
        axes=(Axis(name="zebra", default=3), Axis(name="rows", default=8)),
        workloads=(workload,),
        provenance=Provenance(origin="user", licence=licence),
    )


def make_candidate(body: str = "// relu") -> Candidate:
    return Candidate(language=Language.CUDA, files=(SourceFile(name="kernel.cu", text=body),))


def make_trace(kind: TraceKind = TraceKind.OFFLINE, reasoning: str = "") -> Trace:
    return Trace(
        kind=kind,
        model="offline" if kind is TraceKind.OFFLINE else "some-model",
        messages=(Message(role="assistant", content="a schedule"),),
        reasoning=reasoning,
        input_tokens=7,
        cost_usd=0.125,
    )


def make_verdict(candidate: Candidate, status: Status = Status.PASSED) -> Verdict:
    passed = status is Status.PASSED
    return Verdict(
        status=status,
        task_hash=make_task().content_hash,
        candidate_hash=candidate.content_hash,
        device="sim:h100",
        seed=2**63 + 5,
        checks=(Check(name="build", passed=passed, status=None if passed else status),),
        seconds={"build": 1.5},
    )


def make_measurement(candidate: Candidate, speedup: float = 2.5, basis: Basis = Basis.MODELLED) -> Measurement:
    timing = WorkloadTiming(
        workload="bench-0",
        samples_us=(0.1 + 0.2,),
        median_us=0.1 + 0.2,
        baseline_us=0.75,
        floor_us=0.2,
        speedup=speedup,
        roofline_fraction=2 / 3,
    )
    return Measurement(
        basis=basis,
        device="sim:h100" if basis is Basis.MODELLED else "cuda:0",
        fingerprint="model 1",
        candidate_hash=candidate.content_hash,
        timings=(timing,),
        speedup=speedup,
    )


class Samples:
    """Values to store, and runs that are stored already."""

    task = staticmethod(make_task)
    candidate = staticmethod(make_candidate)
    trace = staticmethod(make_trace)
    verdict = staticmethod(make_verdict)
    measurement = staticmethod(make_measurement)

    @staticmethod
    def config(task: Task | None = None, seed: int = 1) -> RunConfig:
        return RunConfig(task=task or make_task(), device="sim:h100", model="offline", seed=seed)


@pytest.fixture
def samples() -> Samples:
    return Samples()
