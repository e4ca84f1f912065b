"""`python -m sandbox.docker`: make the image of sandbox containers under the name that the settings give it."""

from __future__ import annotations

import sys

from sandbox.docker.engine import Engine
from sandbox.docker.image import make_image
from sandbox.settings import SandboxSettings
from tasks.errors import KernelwrightError


def main() -> int:
    """Make it; returns the exit code."""
    try:
        settings = SandboxSettings.load()
        make_image(Engine(settings.docker_host), settings.docker_image)
    except KernelwrightError as error:
        sys.stderr.write(f"{error}\n")
        return 3
    sys.stderr.write(f"made the image {settings.docker_image}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
