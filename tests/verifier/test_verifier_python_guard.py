import ast

import pytest

from sandbox.values import Candidate, Language, SourceFile
from verifier.guard import inspect
from verifier.python_guard import PythonRule, inspect_python, python_rules, read_facts
from verifier.values import EvidenceTier


def _found(text: str, entry: str = "forward") -> dict[str, EvidenceTier]:
    return {evidence.rule: evidence.tier for evidence in inspect_python("kernel.py", text, entry)}


@pytest.mark.parametrize("rule", python_rules(), ids=lambda rule: rule.id)
def test_each_rule_catches_its_example_and_lets_its_honest_twin_through(rule: PythonRule) -> None:
    assert rule.id in _found(rule.example)
    assert rule.id not in _found(rule.twin)
    ast.parse(rule.twin)


@pytest.mark.parametrize("rule", python_rules(), ids=lambda rule: rule.id)
def test_no_honest_twin_is_rejected(rule: PythonRule) -> None:
    assert EvidenceTier.HARD not in _found(rule.twin).values()


def test_rule_identifiers_are_unique() -> None:
    assert len({rule.id for rule in python_rules()}) == len(python_rules())


def test_what_only_stands_in_the_file_is_not_held_against_the_entry() -> None:
    text = """
import torch
import torch.nn as nn

class Model(nn.Module):
    def forward(self, x):
        return torch.softmax(x, -1)

class ModelNew(nn.Module):
    def forward(self, x):
        return launch(x)

def launch(x):
    return torch.empty_like(x)

print(torch.softmax(torch.ones(3), -1))
"""
    assert _found(text, "ModelNew") == {}
    assert _found(text, "Model") == {"python-library-op": EvidenceTier.HARD}


def test_an_op_is_found_through_helpers_aliases_and_methods() -> None:
    text = """
from torch import matmul as mm, nn
import torch.nn.functional
class ModelNew(nn.Module):
    def forward(self, x):
        return self.work(x)
    def work(self, x):
        return helper(x)
def helper(x):
    a = mm(x, x)
    b = torch.nn.functional.relu(a)
    return b
"""
    lines = [evidence.where for evidence in inspect_python("kernel.py", text, "ModelNew")]
    assert lines == ["kernel.py:10", "kernel.py:11"]


def test_facts_name_functions_by_their_imports() -> None:
    facts = list(read_facts(ast.parse("import torch as t\ndef f(x):\n    return t.nn.functional.gelu(x).sum()"), "f"))
    calls = {fact.text: fact.reached for fact in facts if fact.kind.value == "call"}
    assert calls == {"torch.nn.functional.gelu": True, ".sum": True}


def test_cuda_inside_a_python_file_is_inspected_too() -> None:
    text = 'SOURCE = """\n#include "/etc/passwd"\n__global__ void k() {}\n"""\nclass ModelNew:\n    pass\n'
    candidate = Candidate(language=Language.MODELNEW, files=(SourceFile(name="kernel.py", text=text),))
    found = inspect(candidate)
    assert [(evidence.rule, evidence.tier) for evidence in found] == [("outside-file", EvidenceTier.HARD)]
    assert found[0].where.startswith("kernel.py:1")


@pytest.mark.parametrize("text", ["def (", "\0", "x = " + "(" * 500, "x = " + "-" * 100_000 + "1", "a" + ".b" * 50_000])
def test_what_cannot_be_parsed_accuses_nobody_and_crashes_nothing(text: str) -> None:
    assert list(inspect_python("kernel.py", text, "forward")) == []


@pytest.mark.parametrize("depth", [50, 300, 900, 3000])
@pytest.mark.parametrize("form", ["x = {}1{}", "x = a{}", "x = {}1"])
def test_deep_nesting_is_read_or_refused_but_never_fatal(form: str, depth: int) -> None:
    text = form.format(
        *{"x = {}1{}": ("(" * depth, ")" * depth), "x = a{}": (".b" * depth,), "x = {}1": ("-" * depth,)}[form]
    )
    assert _found(text) == {}
