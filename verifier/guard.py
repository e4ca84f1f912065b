"""Static rules over a candidate's syntax tree: cheap, before anything is built, and only as evidence.

Rules are data (`rules.toml`): tree-sitter queries, so that comments, strings and the candidate's own function
names accuse nobody. A determined author gets around any static rule (macros, computed symbols); isolation and
the runtime checks do not rest on this one.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources

import tree_sitter_cuda
from tree_sitter import Language, Node, Parser, Query, QueryCursor

from sandbox.values import MODEL_CLASS, Candidate, SourceFile
from sandbox.values import Language as CandidateLanguage
from tasks.values import Value
from verifier.python_guard import defined_functions, embedded_sources, inspect_python
from verifier.values import Evidence, EvidenceTier


class Rule(Value):
    """One rule of `rules.toml`."""

    id: str
    """Identifier, as in the verdict's evidence."""
    tier: EvidenceTier
    """Weight of a finding."""
    reason: str
    """Why it matters."""
    query: str
    """Query in tree-sitter's language; `@found` is the finding, `@name` what `names` is about."""
    names: tuple[str, ...] = ()
    """When not empty, the texts of `@name` that count."""
    example: str
    """Source that the rule must catch."""
    twin: str
    """Honest source that looks alike and must pass."""


@dataclass(frozen=True, slots=True)
class _Compiled:
    rule: Rule
    query: Query


_SUFFIXES = (".cu", ".cuh", ".h", ".hpp", ".cpp", ".cc")
_DEFINITIONS = "(function_definition declarator: (function_declarator declarator: (identifier) @name))"


def inspect(candidate: Candidate) -> tuple[Evidence, ...]:
    """Return every finding in the candidate's sources, in the order of files and rules."""
    return tuple(found for file in candidate.files for found in _inspect(file, candidate))


@cache
def rules() -> tuple[Rule, ...]:
    """Return the rules of `rules.toml`."""
    text = resources.files("verifier").joinpath("rules.toml").read_text(encoding="utf-8")
    return tuple(Rule.model_validate(table) for table in tomllib.loads(text)["rule"])


def defines(candidate: Candidate, name: str) -> bool:
    """Whether a candidate's sources define a function of this name."""
    return any(name in _defined(file, candidate) for file in candidate.files)


def _defined(file: SourceFile, candidate: Candidate) -> set[str]:
    if file.name.endswith(_SUFFIXES):
        return _own_functions(Parser(_language()).parse(file.text.encode()).root_node)
    return defined_functions(file.text) if candidate.language.is_python else set()


def _own_functions(root: Node) -> set[str]:
    return {_text(node) for node in QueryCursor(_definitions()).captures(root).get("name", ())}


def _inspect(file: SourceFile, candidate: Candidate) -> Iterator[Evidence]:
    if file.name.endswith(_SUFFIXES):
        yield from _inspect_cuda(file)
    elif candidate.language.is_python:
        yield from inspect_python(file.name, file.text, _entry(candidate))
        for line, text in embedded_sources(file.text):
            yield from _inspect_cuda(SourceFile(name=f"{file.name}:{line}", text=text))


def _entry(candidate: Candidate) -> str:
    return MODEL_CLASS if candidate.language is CandidateLanguage.MODELNEW else candidate.entry


def _inspect_cuda(file: SourceFile) -> Iterator[Evidence]:
    tree = Parser(_language()).parse(file.text.encode())
    own = _own_functions(tree.root_node)
    for compiled in _compiled():
        for node in sorted(_matches(compiled, tree.root_node, own), key=lambda node: node.start_byte):
            yield Evidence(
                rule=compiled.rule.id,
                tier=compiled.rule.tier,
                where=f"{file.name}:{node.start_point.row + 1}",
                reason=compiled.rule.reason,
            )


def _matches(compiled: _Compiled, root: Node, own: set[str]) -> Iterator[Node]:
    seen: set[int] = set()
    for _, captures in QueryCursor(compiled.query).matches(root):
        names = {_text(node) for node in captures.get("name", ())}
        if compiled.rule.names and not names & set(compiled.rule.names):
            continue
        for node in captures["found"]:
            if names & own or node.start_byte in seen:
                continue
            seen.add(node.start_byte)
            yield node


def _text(node: Node) -> str:
    return (node.text or b"").decode(errors="replace")


@cache
def _language() -> Language:
    return Language(tree_sitter_cuda.language())


@cache
def _definitions() -> Query:
    return Query(_language(), _DEFINITIONS)


@cache
def _compiled() -> tuple[_Compiled, ...]:
    return tuple(_Compiled(rule, Query(_language(), rule.query)) for rule in rules())
