"""The form of the home page: what was typed, kept as typed, and what it asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath

from starlette.datastructures import UploadFile
from starlette.requests import Request

from web.values import LARGEST_SOURCE, RunRequest


@dataclass(frozen=True, slots=True)
class SubmittedForm:
    """The fields as texts, whether or not they are legal."""

    source: str
    filename: str
    task: str
    device: str
    model: str
    samples: str
    generations: str
    population: str

    def request(self) -> RunRequest:
        """Return what the form asks for.

        Raises
        ------
        pydantic.ValidationError
            A field is not legal.
        """
        fields: dict[str, str | None] = {
            "source": self.source if self.source.strip() else None,
            "task": self.task or None,
            "filename": self.filename,
            "device": self.device,
            "model": self.model.strip() or None,
            "samples": self.samples,
            "generations": self.generations,
            "population": self.population,
        }
        return RunRequest.model_validate(fields)


def blank_form(model: str, task: str = "") -> SubmittedForm:
    """Return the form before anything was typed; the figures are the API's defaults."""
    defaults = RunRequest(task="any")
    return SubmittedForm(
        source="",
        filename=defaults.filename,
        task=task,
        device=defaults.device,
        model=model,
        samples=str(defaults.samples),
        generations=str(defaults.generations),
        population=str(defaults.population),
    )


async def read_form(request: Request) -> SubmittedForm:
    """Read the form of a request; an uploaded file takes the place of typed source."""
    async with request.form(max_files=1, max_fields=20, max_part_size=4 * LARGEST_SOURCE) as data:

        def typed(name: str) -> str:
            value = data.get(name)
            return value if isinstance(value, str) else ""

        source, filename = typed("source"), "op.py"
        upload = data.get("upload")
        if isinstance(upload, UploadFile) and upload.filename:
            # One character too many is enough to be refused by `RunRequest`.
            content = await upload.read(4 * LARGEST_SOURCE + 1)
            source, filename = content.decode("utf-8", errors="replace"), _python_name(upload.filename)
        elif typed("filename"):
            filename = _python_name(typed("filename"))
        return SubmittedForm(
            source=source,
            filename=filename,
            task=typed("task"),
            device=typed("device"),
            model=typed("model"),
            samples=typed("samples"),
            generations=typed("generations"),
            population=typed("population"),
        )


def _python_name(name: str) -> str:
    """Return a legal file name that resembles `name`."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", PurePath(name.replace("\\", "/")).stem).strip("_-")
    return f"{stem[:80] or 'op'}.py"
