"""Settings of the importers: where the suites' checkouts lie."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from tasks.importers.values import Suite
from tasks.settings import RoomSettings


class ImportSettings(RoomSettings):
    """Table `[suites]`."""

    section: ClassVar[str] = "suites"

    kernelbench_dir: Path | None = None
    """Checkout of KernelBench, for tasks named `kernelbench:LEVEL/NUMBER`."""
    robust_kbench_dir: Path | None = None
    """Checkout of robust-kbench, for tasks named `robust-kbench:NAME/forward`."""
    gpu_mode_dir: Path | None = None
    """Checkout of GPU MODE's reference-kernels, for tasks named `gpu-mode:SET/NAME`."""
    flashinfer_bench_dir: Path | None = None
    """Trace data set of flashinfer-bench, for tasks named `flashinfer-bench:NAME`."""
    sol_execbench_dir: Path | None = None
    """Problems of SOL-ExecBench, for tasks named `sol-execbench:NAME`."""

    def folder_of(self, suite: Suite) -> Path | None:
        """Return where a suite lies, None when no setting says so."""
        folder: Path | None = getattr(self, setting_of(suite))
        return folder


def setting_of(suite: Suite) -> str:
    """Return the name of the setting that says where a suite lies."""
    return f"{suite.value.replace('-', '_')}_dir"
