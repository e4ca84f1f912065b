"""KernelBench: one Python file for each problem, in folders `level1` to `level4`."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tasks.constants import parse_source
from tasks.errors import UserError
from tasks.importers.files import read_text
from tasks.importers.licences import licence_above
from tasks.importers.values import Draft, Found, Suite
from tasks.values import Provenance

_LEVEL = re.compile(r"level_?(?P<level>\d)")
_PROBLEM = re.compile(r"(?P<number>\d+)_(?P<name>.+)\.py")
_SOURCE = "KernelBench's own sizes"
_FETCH = "from_pretrained"


class KernelBenchImporter:
    """Reads KernelBench problems (see `tasks.importers.importing.Importer`)."""

    suite = Suite.KERNELBENCH

    def find(self, root: Path) -> tuple[Found, ...]:
        """Return the problems below `root`: a checkout, a folder `levelN`, or one problem's file."""
        if root.is_file():
            return (Found(id=_id(root) or root.stem, path=root),)
        files = [file for file in root.rglob("*.py") if _id(file)]
        found = {_id(file): Found(id=_id(file), path=file) for file in sorted(files, key=lambda f: -len(f.parts))}
        return tuple(sorted(found.values(), key=lambda one: [int(part) for part in one.id.split("/")]))

    def read(self, found: Found, root: Path) -> Draft:
        """Return the problem; its file is the reference as it stands.

        Raises
        ------
        UserError
            The file cannot be read, or takes a model off the network when it is executed.
        """
        body = read_text(found.path)
        if (call := _fetched(body)) is not None:
            raise UserError(
                f"its file fetches a model from the Hugging Face hub when it is executed ({call}): a reference runs "
                "without network, and its model is to be written in its file"
            )
        match = _PROBLEM.fullmatch(found.path.name)
        title = match["name"] if match else found.path.stem
        return Draft(
            name=f"kernelbench-{found.id.replace('/', '-')}-{title}",
            body=body,
            source=_SOURCE,
            provenance=Provenance(origin=f"KernelBench, problem {found.id}", licence=licence_above(found.path, root)),
        )


def _id(file: Path) -> str:
    """Return `LEVEL/NUMBER` of a problem's file, empty for any other file."""
    problem, level = _PROBLEM.fullmatch(file.name), _LEVEL.fullmatch(file.parent.name)
    return f"{level['level']}/{problem['number']}" if problem and level else ""


def _fetched(source: str) -> str | None:
    """Return the first call that takes a pretrained model by its name, as every problem of level 4 does."""
    calls = (node.func for node in ast.walk(parse_source(source)) if isinstance(node, ast.Call))
    return next((ast.unparse(one) for one in calls if isinstance(one, ast.Attribute) and one.attr == _FETCH), None)
