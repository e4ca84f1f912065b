"""Arguments of every kind reach a host function, and its defaults stand in for those that are left out."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from sandbox.build import build
from sandbox.toolchain import find_toolchain
from sandbox.values import Candidate, Language, SourceFile

SOURCE = r"""
#include <torch/extension.h>

std::string described(const std::string& text, std::vector<int64_t> sizes, double real, bool flag, at::Scalar scalar,
                      std::optional<int64_t> maybe, at::IntArrayRef more, at::OptionalIntArrayRef rest, float single,
                      c10::string_view view, std::vector<double> reals, int narrow) {
  std::string out = text + "|";
  for (int64_t size : sizes) out += std::to_string(size) + ",";
  out += "|" + std::to_string(real) + (flag ? "|yes|" : "|no|");
  out += scalar.isFloatingPoint() ? "real " + std::to_string(scalar.toDouble()) : "whole " + std::to_string(scalar.toLong());
  out += "|" + (maybe.has_value() ? std::to_string(*maybe) : "none") + "|" + std::to_string(more.size());
  out += rest.has_value() ? "|" + std::to_string(rest->size()) : "|none";
  return out + "|" + std::to_string(single) + "|" + std::string(view) + "|" + std::to_string(reals.size()) + "|" + std::to_string(narrow);
}
std::string by_schema(at::IntArrayRef sizes, double real, bool flag, const std::string& text, std::optional<double> maybe, at::Scalar scalar) {
  return std::to_string(sizes.size()) + "|" + std::to_string(real) + (flag ? "|yes|" : "|no|") + text + (maybe ? "|some|" : "|none|") +
         (scalar.isFloatingPoint() ? "real" : "whole");
}
int64_t on_cpu(int64_t a) { return a; }

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {
  m.def("forward", &described, py::arg("text"), py::arg("sizes"), py::arg("real") = 2, py::arg("flag") = true, py::arg("scalar") = 0.5,
        py::arg("maybe") = py::none(), py::arg("more") = std::vector<int64_t>{1, 2}, py::arg("rest") = py::none(), py::arg("single") = 1.5,
        py::arg("view") = "plain", py::arg("reals") = std::vector<double>{}, py::arg("narrow") = 7);
}
TORCH_LIBRARY(kernelwright_arguments, m) {
  m.def("by_schema(int[] sizes=[1, 2, 3], float real=1e-3, bool flag=True, *, str text=\"a, b\", float? maybe=None, Scalar scalar=1) -> str");
}
TORCH_LIBRARY_IMPL(kernelwright_arguments, CPU, m) { m.impl("by_schema", &on_cpu); }
TORCH_LIBRARY_IMPL(kernelwright_arguments, CUDA, m) { m.impl("by_schema", &by_schema); }
KERNELWRIGHT_EXTRA
"""
EXTRA = "#include <kernelwright/bindings.h>\nKERNELWRIGHT_EXPORT_BINDING(by_schema)\n"

# In a process of its own, which has no PyTorch: the host code needs none.
CALLS = """
import ctypes, json, sys
sys.modules["torch"] = None
import tvm_ffi
ctypes.CDLL(sys.argv[2], mode=ctypes.RTLD_GLOBAL)
module = tvm_ffi.load_module(sys.argv[1], keep_module_alive=True)
answers = []
for name, arguments in json.loads(sys.argv[3]):
    try:
        answers.append(str(module.get_function(name)(*arguments)))
    except Exception as error:
        answers.append(f"{type(error).__name__}: {error}")
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def call(settings):
    text = SOURCE.replace("KERNELWRIGHT_EXTRA\n", EXTRA)
    built = build(
        Candidate(language=Language.CUDA, files=(SourceFile(name="kernel.cu", text=text),)), "sm_90", settings
    )
    library = built.folder / str(built.library)

    def run(*calls):
        command = [sys.executable, "-c", CALLS, str(library), str(find_toolchain().cudart), json.dumps(calls)]
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    return run


def test_values_of_every_kind_and_defaults_of_both_bindings(call):
    everything = ["é text", [3, 4], 2.5, False, 3, 9, [], [1], 0.25, "views", [1.0, 2.0], -1]
    answers = call(
        ("forward", everything),
        ("forward", ["", []]),
        ("by_schema", []),
        ("by_schema", [[5], 2, False, "", 1.0, 0.5]),
    )
    assert answers == [
        "é text|3,4,|2.500000|no|whole 3|9|0|1|0.250000|views|2|-1",
        "||2.000000|yes|real 0.500000|none|2|none|1.500000|plain|0|7",
        "3|0.001000|yes|a, b|none|whole",
        "1|2.000000|no||some|real",
    ]


def test_what_does_not_fit_is_said(call):
    long, wrong, missing = call(
        ("forward", ["", [], 1.0, True, 1, None, [], None, 1.0, "", [], 1, 1]),
        ("forward", [1, []]),
        ("forward", []),
    )
    assert "takes 12 arguments, 13 were given" in long
    assert "a string was expected" in wrong
    assert "argument 0 is missing and has no default" in missing
