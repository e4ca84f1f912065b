"""Many sources of the corpus as one candidate, unmodified, so that PyTorch's headers are parsed once for all of them.

Each source stands in a namespace of its own, after the headers that all of them include; what it binds gets its name as
a prefix, and each entry is exported as `SOURCE_ENTRY`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from sandbox.values import Candidate, Language, SourceFile
from tests.sandbox.extensions.case import Case

_INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]*[<\"].*$", re.MULTILINE)
_MACRO = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)", re.MULTILINE)
_PREFIX = """
namespace {{
const bool scoped_{name} = [] {{
  for (auto& binding : ::kernelwright::bindings())
    if (binding.name.find('/') == std::string::npos) binding.name = "{name}/" + binding.name;
  for (auto& schema : ::kernelwright::schemas())
    if (schema.name.find('/') == std::string::npos) schema.name = "{name}/" + schema.name;
  return true;
}}();
}}
"""
_BOUND = """
extern "C" TVM_FFI_DLL_EXPORT int __tvm_ffi_{exported}(void*, const TVMFFIAny* arguments, int32_t given,
                                                       TVMFFIAny* result) {{
  return ::kernelwright::guarded(
      [&] {{ ::kernelwright::call_binding("{name}/{entry}", arguments, given, result); }});
}}
"""


def unit(cases: Iterable[Case], more: str = "") -> Candidate:
    """Return the candidate, with `more` source at its end; `exported` names the entries."""
    chosen = tuple(cases)
    texts = {case.name: case.text() for case in chosen}
    includes = dict.fromkeys(line.strip() for text in texts.values() for line in _INCLUDE.findall(text))
    parts = ["#include <torch/extension.h>", *includes, "#include <kernelwright/export.h>"]
    parts += [_enclosed(name, text) for name, text in texts.items()]
    calls = dict.fromkeys((case.name, case.entry) for case in chosen)
    parts += [_export(name, entry, texts[name]) for name, entry in calls]
    # The builder exports the entry; `forward` here is only for it.
    parts += [more, "at::Tensor forward(at::Tensor x) { return x; }\n"]
    return Candidate(language=Language.CUDA, files=(SourceFile(name="unit.cu", text="\n".join(parts)),))


def exported(case: Case) -> str:
    return f"{case.name}_{case.entry}"


def _enclosed(name: str, text: str) -> str:
    undefined = "\n".join(f"#undef {macro}" for macro in dict.fromkeys(_MACRO.findall(text)))
    return f'namespace {name} {{\n#line 1 "{name}.cu"\n{text}\n}}\n{undefined}{_PREFIX.format(name=name)}'


def _export(name: str, entry: str, text: str) -> str:
    if re.search(rf'\.\s*(?:def|impl)\(\s*"{entry}[("]', text):
        return _BOUND.format(name=name, entry=entry, exported=f"{name}_{entry}")
    return f"KERNELWRIGHT_EXPORT_AS({name}_{entry}, ::{name}::{entry})"
