"""The guard's side for Python: rules of `python_rules.toml` over facts read off a candidate's syntax tree.

What the entry reaches is told from what merely stands in the file (a reference to compare with, a self-test), by names:
a function counts when code that counts mentions it. Kernels themselves are left out, since their language has the
same operators. Whoever builds names at run time escapes this; the record of PyTorch's operators does not rest on it.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources

from tasks.values import Value
from verifier.values import Evidence, EvidenceTier


class Scope(StrEnum):
    """Which code a rule is about."""

    CALL = "call"
    """What the entry reaches, kernels left out."""
    FILE = "file"
    """Everything."""


class FactKind(StrEnum):
    """What a fact says."""

    CALL = "call"
    IMPORT = "import"
    ATTRIBUTE = "attribute"
    OPERATOR = "operator"
    STATEMENT = "statement"


class PythonRule(Value):
    """One rule of `python_rules.toml`."""

    id: str
    """Identifier, as in the verdict's evidence."""
    tier: EvidenceTier
    """Weight of a finding."""
    reason: str
    """Why it matters."""
    where: Scope
    """Which code it is about."""
    kinds: tuple[FactKind, ...]
    """Kinds of facts it looks at."""
    pattern: str
    """Regular expression for the whole text of a fact."""
    example: str
    """Source that the rule must catch."""
    twin: str
    """Honest source that looks alike and must pass."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that a source does, and where."""

    kind: FactKind
    text: str
    line: int
    reached: bool
    """Whether the entry reaches it."""


@cache
def python_rules() -> tuple[PythonRule, ...]:
    """Return the rules of `python_rules.toml`."""
    text = resources.files("verifier").joinpath("python_rules.toml").read_text(encoding="utf-8")
    return tuple(PythonRule.model_validate(table) for table in tomllib.loads(text)["rule"])


def inspect_python(name: str, text: str, entry: str) -> Iterator[Evidence]:
    """Yield every finding in one Python file, by rule and line; nothing for what is not Python (the build refuses it).

    Parameters
    ----------
    name
        File name for the findings.
    text
        Its content.
    entry
        Function or class that is called.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    facts = tuple(read_facts(tree, entry))
    for rule in python_rules():
        pattern = re.compile(rule.pattern)
        lines = {
            fact.line
            for fact in facts
            if fact.kind in rule.kinds and (rule.where is Scope.FILE or fact.reached) and pattern.fullmatch(fact.text)
        }
        for line in sorted(lines):
            yield Evidence(rule=rule.id, tier=rule.tier, where=f"{name}:{line}", reason=rule.reason)


def embedded_sources(text: str) -> Iterator[tuple[int, str]]:
    """Yield the CUDA sources that stand in a Python file as strings, each with its first line."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _CUDA.search(node.value):
            yield node.lineno, node.value


def defined_functions(text: str) -> set[str]:
    """Return the names of the functions that a Python file defines at its outermost level; none if it is no Python."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


_CUDA = re.compile(r"__global__|#\s*include\s*[<\"]|torch::Tensor")


def read_facts(tree: ast.Module, entry: str) -> Iterator[Fact]:
    """Yield what a source does."""
    aliases = _aliases(tree)
    reached = _reached(tree, entry)
    for node, counts in _walk(tree, reached):
        for kind, text in _facts_of(node, aliases):
            yield Fact(kind, text, getattr(node, "lineno", 0), counts)


def _facts_of(node: ast.AST, aliases: Mapping[str, str]) -> Iterator[tuple[FactKind, str]]:
    match node:
        case ast.Call():
            yield FactKind.CALL, _name(node.func, aliases)
        case ast.FunctionDef():
            for decorator in node.decorator_list:
                yield FactKind.CALL, _name(decorator, aliases)
        case ast.Import():
            yield from ((FactKind.IMPORT, alias.name) for alias in node.names)
        case ast.ImportFrom():
            module = node.module or ""
            yield FactKind.IMPORT, module
            yield from ((FactKind.IMPORT, f"{module}.{alias.name}") for alias in node.names)
        case ast.Attribute():
            yield FactKind.ATTRIBUTE, node.attr
            if (full := _name(node, aliases)) and not full.startswith("."):
                yield FactKind.ATTRIBUTE, full
        case ast.BinOp() | ast.AugAssign():
            yield FactKind.OPERATOR, type(node.op).__name__
        case ast.Try() | ast.Global() | ast.Nonlocal():
            yield FactKind.STATEMENT, type(node).__name__


def _walk(tree: ast.Module, reached: frozenset[str]) -> Iterator[tuple[ast.AST, bool]]:
    """Visit every node, telling for each whether the entry reaches it; with a stack, since sources nest deeply."""
    stack: list[tuple[ast.AST, bool]] = [(tree, False)]
    while stack:
        node, counts = stack.pop()
        yield node, counts
        for child in ast.iter_child_nodes(node):
            inside = counts
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                inside = (counts or child.name in reached) and not _is_kernel(child)
            elif isinstance(child, ast.Assign):
                inside = counts or any(getattr(target, "id", None) in reached for target in child.targets)
            stack.append((child, inside))


def _reached(tree: ast.Module, entry: str) -> frozenset[str]:
    """Return the names of the module that the entry leads to, itself included."""
    bodies: dict[str, list[ast.AST]] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            bodies.setdefault(node.name, []).append(node)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    bodies.setdefault(target.id, []).append(node.value)
    found: set[str] = set()
    frontier = {entry}
    while frontier:
        name = frontier.pop()
        found.add(name)
        mentioned = {node.id for body in bodies.get(name, ()) for node in ast.walk(body) if isinstance(node, ast.Name)}
        frontier |= (mentioned & bodies.keys()) - found
    return frozenset(found)


def _is_kernel(node: ast.FunctionDef | ast.ClassDef) -> bool:
    functions = [one.func if isinstance(one, ast.Call) else one for one in node.decorator_list]
    return any((one.attr if isinstance(one, ast.Attribute) else getattr(one, "id", "")) == "jit" for one in functions)


def _aliases(tree: ast.Module) -> dict[str, str]:
    """Return what each imported name stands for, wherever in the file it is imported."""
    aliases: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                aliases[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                aliases[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return aliases


def _name(node: ast.expr, aliases: Mapping[str, str]) -> str:
    """Return the full name of an expression, `.attr` for an attribute of something that is not imported."""
    if isinstance(node, ast.Call):
        return _name(node.func, aliases)
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name) and (node.id in aliases or not parts):
        return ".".join((aliases.get(node.id, node.id), *reversed(parts)))
    return f".{parts[0]}" if parts else ""
