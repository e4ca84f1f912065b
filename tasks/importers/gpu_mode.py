"""GPU MODE's reference-kernels: a folder for each problem, with `task.yml`, `reference.py` and modules beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import ConfigDict, JsonValue, ValidationError

from tasks.constants import bound_names, parse_source
from tasks.errors import UserError
from tasks.importers.datum import wrapped
from tasks.importers.files import read_text, read_yaml
from tasks.importers.flattening import flattened
from tasks.importers.licences import licence_above
from tasks.importers.sources import free_name, function_called, scalar_defaults
from tasks.importers.values import Draft, Found, Setting, Suite
from tasks.values import DType, Provenance, Value

_SOURCE = "benchmarks of GPU MODE's task.yml"
_NAMED = 4
"""Values of a setting that a note spells out."""
_CHECK = "check_implementation"
_OWN_FILES = ("submission.py", "eval.py", "reference.py")


class _File(Value):
    name: str
    source: str


class _Problem(Value):
    """The file `task.yml`, as far as it says what is to be computed."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    files: tuple[_File, ...] = ()
    tests: tuple[dict[str, JsonValue], ...] = ()
    benchmarks: tuple[dict[str, JsonValue], ...] = ()
    multi_gpu: bool = False


class GpuModeImporter:
    """Reads GPU MODE problems (see `tasks.importers.importing.Importer`)."""

    suite = Suite.GPU_MODE

    def find(self, root: Path) -> tuple[Found, ...]:
        """Return the problems below `root`: `SET/NAME`, or `NAME` where `root` is one set."""
        base = root / "problems" if (root / "problems").is_dir() else root
        folders = sorted(file.parent for file in base.rglob("task.yml") if file.with_name("reference.py").is_file())
        return tuple(
            Found(id=folder.relative_to(base).as_posix() if folder != base else folder.name, path=folder)
            for folder in folders
        )

    def read(self, found: Found, root: Path) -> Draft:
        """Return the problem: its reference with what that needs of the files beside it, its tests and benchmarks.

        Raises
        ------
        UserError
            A file is missing or not of the format, or the problem needs several GPUs.
        """
        problem = _read_problem(found.path / "task.yml")
        if problem.multi_gpu:
            raise UserError("it runs on several GPUs at once; a kernel is verified on one")
        beside = {
            file.name.removesuffix(".py"): read_text(found.path / file.source)
            for file in problem.files
            if file.name.endswith(".py") and file.name not in _OWN_FILES
        }
        reference = read_text(found.path / "reference.py")
        source = flattened(reference, beside, ("ref_kernel", "generate_input"))
        defaults = _defaults(source)
        tests, benchmarks = (_settings(stated, defaults) for stated in (problem.tests, problem.benchmarks))
        if not (tests or benchmarks):
            raise UserError("task.yml states neither tests nor benchmarks, so there are no sizes")
        taken = bound_names(source)
        constants = {name: free_name(name, taken) for name in _names((*benchmarks, *tests))}
        datum = wrapped(source, constants, _title(found))
        first = (benchmarks or tests)[0]
        choices = _choices((*benchmarks, *tests)) if datum.tensors_only else {}
        alike = {name: first[name] for name in ("seed", *choices) if name in first}
        return Draft(
            name=f"gpu-mode-{found.id}",
            body=datum.source,
            settings=_distinct([setting | alike for setting in benchmarks or tests], constants),
            small=_distinct([setting | alike for setting in tests], constants),
            source=_SOURCE,
            notes=(*datum.notes, *_choice_notes(choices), *_check_notes(reference)),
            provenance=Provenance(
                origin=f"GPU MODE reference-kernels, problem {found.id}", licence=licence_above(found.path, root)
            ),
        )


def _read_problem(path: Path) -> _Problem:
    try:
        return _Problem.model_validate(read_yaml(path))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UserError(f"'{path}' is no problem of GPU MODE: {place}: {first['msg']}") from error


def _defaults(source: str) -> Setting:
    """Return what the suite's generator takes when a test says nothing."""
    generator = function_called(parse_source(source), "generate_input")
    return scalar_defaults(generator) if generator is not None else {}


def _settings(stated: Sequence[dict[str, JsonValue]], defaults: Setting) -> tuple[Setting, ...]:
    settings: list[Setting] = []
    for one in stated:
        setting = dict(defaults)
        for name, value in one.items():
            if isinstance(value, list | dict):
                raise UserError(f"a test states a list for '{name}'; a setting is a number, a text or a truth value")
            setting[name] = value
        settings.append(setting)
    return tuple(settings)


def _names(settings: Sequence[Setting]) -> tuple[str, ...]:
    """Return the arguments of the suite's generator, the same in every test and benchmark."""
    for setting in settings:
        if other := sorted(setting.keys() ^ settings[0].keys()):
            raise UserError(f"some of its tests and benchmarks state '{other[0]}', and others do not")
    return tuple(settings[0])


def _choices(settings: Sequence[Setting]) -> dict[str, list[str]]:
    """Return the arguments that are texts or truth values, with what they are, where they say which values are drawn.

    A generator that gives tensors alone can pass them on in no other way than by the tensors' values; one that names an
    element type makes another op.
    """
    named: dict[str, list[str]] = {}
    for setting in settings:
        for name, value in setting.items():
            if isinstance(value, bool | str) and str(value) not in named.setdefault(name, []):
                named[name].append(str(value))
    return {name: values for name, values in named.items() if not set(values) & set(DType)}


def _choice_notes(choices: Mapping[str, Sequence[str]]) -> Iterator[str]:
    for name, values in choices.items():
        if len(values) > 1:
            more = f" and {len(values) - _NAMED} more" if len(values) > _NAMED else ""
            listed = ", ".join(values[:_NAMED]) + more
            yield f"'{name}' ({listed}) says which values the suite draws; verification draws its own"


def _check_notes(reference: str) -> Iterator[str]:
    """Name a check that is more than a comparison with the reference's results."""
    if function_called(parse_source(reference), _CHECK) is not None:
        yield (
            f"its own '{_CHECK}' is not carried over: results are compared with the reference's, so where others are "
            "right too, save the task and state properties in its manifest"
        )


def _distinct(settings: Sequence[Setting], constants: Mapping[str, str]) -> tuple[Setting, ...]:
    """Return the settings by the names of the constants, each set of sizes once."""
    distinct = [setting for position, setting in enumerate(settings) if setting not in settings[:position]]
    return tuple({constants[name]: value for name, value in setting.items()} for setting in distinct)


def _title(found: Found) -> str:
    return f"{found.path.name.removesuffix('_py').replace('_', ' ').replace('-', ' ')} of GPU MODE's reference kernels"
