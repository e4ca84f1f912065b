"""Faults for the mutation benchmark: small edits of a right kernel, found on its syntax tree.

Each operator stands for a mistake that people and models make: a barrier forgotten, a bound off by one, a stride of
another tensor, an accumulator in half precision. An operator never writes what honest code may do as well (swapped
operands of a sum, `__expf`), so that a fault which nobody can tell from the original is rare; `mutation.py` sets those
aside with a proof.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

import tree_sitter_cuda
from tree_sitter import Language, Node, Parser


class FaultClass(StrEnum):
    """Families of faults, as the report counts them."""

    BARRIER = "barrier removed"
    BOUND = "bound or guard"
    INDEX = "index or stride"
    OPERATOR = "operator or function"
    CONSTANT = "constant"
    INITIAL = "initial value"
    MASK = "warp mask or shuffle"
    PRECISION = "precision"
    TYPE = "type"
    TERM = "term or statement dropped"
    LAUNCH = "launch"


@dataclass(frozen=True, slots=True)
class Fault:
    """One edit of one file."""

    kind: FaultClass
    operator: str
    """What was done, in a few words."""
    file: str
    start: int
    end: int
    text: str
    """Replaces the bytes from `start` to `end`."""
    prefix: str = ""
    """Stands before the whole file, for instance an include."""

    def applied(self, source: str) -> str:
        """Return the faulty text of the file."""
        raw = source.encode()
        return self.prefix + (raw[: self.start] + self.text.encode() + raw[self.end :]).decode()

    def line(self, source: str) -> int:
        """Return the number of the changed line."""
        return source.encode()[: self.start].count(b"\n") + 1


@dataclass(frozen=True, slots=True)
class _Edit:
    kind: FaultClass
    operator: str
    start: int
    end: int
    text: str
    prefix: str = ""


_HALF = "#include <cuda_fp16.h>\n"
_FLIPPED = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
_ARITHMETIC = {"+": "-", "-": "+", "*": "+", "/": "*", "%": "/"}
_FUNCTIONS = {
    "fmaxf": "fminf",
    "expf": "exp2f",
    "exp": "exp2",
    "logf": "log2f",
    "log": "log2",
    "rsqrtf": "sqrtf",
    "rsqrt": "sqrt",
    "sqrtf": "rsqrtf",
    "tanhf": "erff",
    "tanh": "erf",
    "erff": "tanhf",
    "erf": "tanh",
    "normcdff": "tanhf",
}
_SHUFFLES = {"__shfl_xor_sync": "__shfl_down_sync", "__shfl_down_sync": "__shfl_up_sync"}
_OTHER_AXIS = {"x": "y", "y": "x"}
_BUILTINS = ("threadIdx", "blockIdx")
_TF32, _BFLOAT16 = "0xffffe000u", "0xffff0000u"
"""Bits of a float that TF32 and bfloat16 keep."""


def device_faults(source: str, file: str) -> list[Fault]:
    """Return every fault that the operators know for the device code of `source`, and for its launches."""
    root = Parser(Language(tree_sitter_cuda.language())).parse(source.encode()).root_node
    edits = [edit for node in _walk(root) if _mutable(node) for edit in _edits(node)]
    return [
        Fault(edit.kind, edit.operator, file, edit.start, edit.end, edit.text, edit.prefix)
        for edit in dict.fromkeys(edits)
    ]


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for child in node.named_children:
        yield from _walk(child)


def _ancestors(node: Node) -> Iterator[Node]:
    parent = node.parent
    while parent is not None:
        yield parent
        parent = parent.parent


def _text(node: Node | None) -> str:
    return "" if node is None or node.text is None else node.text.decode()


def _mutable(node: Node) -> bool:
    """Whether the node lies in a device function's body or in a launch's configuration, and may vary at run time."""
    kinds = [ancestor.type for ancestor in _ancestors(node)]
    if "array_declarator" in kinds or "template_argument_list" in kinds or "static_assert_declaration" in kinds:
        return False
    if "kernel_call_syntax" in kinds:
        return True
    function = _function(node)
    if function is None or _within(node, function.child_by_field_name("body")) is False:
        return False
    head = _text(function).split("{", 1)[0]
    return "__global__" in head or "__device__" in head


def _within(node: Node, body: Node | None) -> bool:
    return body is not None and body.start_byte < node.start_byte and node.end_byte <= body.end_byte


def _function(node: Node) -> Node | None:
    return next((ancestor for ancestor in _ancestors(node) if ancestor.type == "function_definition"), None)


def _place(node: Node, otherwise: FaultClass) -> FaultClass:
    """Return the family of an edit by where it stands: in a launch, an index, a condition, or elsewhere."""
    for ancestor in _ancestors(node):
        match ancestor.type:
            case "kernel_call_syntax":
                return FaultClass.LAUNCH
            case "subscript_argument_list":
                return FaultClass.INDEX
            case "condition_clause":
                return FaultClass.BOUND
            case "declaration" if not re.match(r"(const\s+)?(float|double)\s+[^*]", _text(ancestor)):
                return FaultClass.INDEX
            case "expression_statement" | "compound_statement":
                return otherwise
    return otherwise


def _replace(node: Node, kind: FaultClass, operator: str, text: str, prefix: str = "") -> _Edit:
    return _Edit(kind, operator, node.start_byte, node.end_byte, text, prefix)


def _edits(node: Node) -> Iterator[_Edit]:
    handler = _HANDLERS.get(node.type)
    if handler is not None:
        yield from handler(node)


def _statement(node: Node) -> Iterator[_Edit]:
    text = _text(node)
    if text.startswith(("__syncthreads", "__syncwarp")):
        yield _replace(node, FaultClass.BARRIER, "barrier removed", ";")
    elif node.named_child_count and node.named_children[0].type in {"assignment_expression", "call_expression"}:
        yield _replace(node, FaultClass.TERM, "statement dropped", ";")


def _binary(node: Node) -> Iterator[_Edit]:
    left, sign, right = node.child_by_field_name("left"), node.child_by_field_name("operator"), None
    right = node.child_by_field_name("right")
    if left is None or sign is None or right is None:
        return
    if _text(sign) in _FLIPPED:
        yield from _comparison(node, left, sign, right)
    elif _text(sign) in {"&&", "||"}:
        yield _replace(sign, FaultClass.BOUND, "and for or", "||" if _text(sign) == "&&" else "&&")
        yield _replace(node, FaultClass.BOUND, "half of a condition dropped", _text(left))
        yield _replace(node, FaultClass.BOUND, "half of a condition dropped", _text(right))
    elif _text(sign) in _ARITHMETIC:
        kind = _place(node, FaultClass.OPERATOR)
        yield _replace(sign, kind, "other arithmetic operator", _ARITHMETIC[_text(sign)])
        kind = _place(node, FaultClass.TERM)
        yield _replace(node, kind, "term dropped", _text(left))
        if _text(sign) in {"+", "*"}:
            yield _replace(node, kind, "term dropped", _text(right))


def _comparison(node: Node, left: Node, sign: Node, right: Node) -> Iterator[_Edit]:
    if node.parent is not None and node.parent.type == "for_statement" and _text(right) == "0":
        return  # halving down to zero would never end, and waiting for that costs more than it shows
    yield _replace(sign, FaultClass.BOUND, "comparison off by one", _FLIPPED[_text(sign)])
    if not re.search(r"\.|INF|NAN", _text(right)) and _text(left) != _text(right):
        yield _replace(right, FaultClass.BOUND, "bound off by one", f"({_text(right)} - 1)")
        yield _replace(right, FaultClass.BOUND, "bound off by one", f"({_text(right)} + 1)")
    parent = node.parent
    if parent is not None and parent.type == "condition_clause":
        taken = "false" if "return" in _text(parent.parent) else "true"
        yield _replace(node, FaultClass.BOUND, "guard removed", taken)


def _number(node: Node) -> Iterator[_Edit]:
    text = _text(node)
    if text.lower().startswith("0x"):
        yield _replace(node, FaultClass.MASK, "half of the mask", "0x0000ffffu")
        yield _replace(node, FaultClass.MASK, "a lane left out of the mask", "0xfffffffeu")
    elif re.fullmatch(r"[\d.]*\d?\.?\d*(e-?\d+)?f?", text) and re.search(r"[.e]", text):
        zero = float(text.rstrip("f")) == 0
        kind = FaultClass.INITIAL if zero else FaultClass.CONSTANT
        yield _replace(node, kind, "zero for one" if zero else "constant left out", "1.0f" if zero else "0.0f")
        if not zero:
            yield _replace(node, kind, "constant wrong in the third digit", f"({text} * 1.003f)")
    elif text.isdigit():
        step = node.parent is not None and node.parent.type == "assignment_expression" and _in_update(node)
        kind = _place(node, FaultClass.CONSTANT)
        yield _replace(node, kind, "integer off by one", str(int(text) + 1))
        if not step and int(text) > 0:
            yield _replace(node, kind, "integer off by one", str(int(text) - 1))


def _in_update(node: Node) -> bool:
    """Whether the node stands in the step of a loop, where a smaller number may never end."""
    child = node
    for ancestor in _ancestors(node):
        if ancestor.type == "for_statement":
            return child == ancestor.child_by_field_name("update")
        child = ancestor
    return False


def _initialised(node: Node) -> Iterator[_Edit]:
    value, declaration = node.child_by_field_name("value"), node.parent
    if value is None or declaration is None or declaration.type != "declaration":
        return
    text, kind = _text(value), _text(declaration.child_by_field_name("type"))
    pointer = "*" in _text(node).split("=")[0] or "[" in _text(node).split("=")[0]
    looped = declaration.parent is not None and declaration.parent.type == "for_statement"
    if "INFINITY" in text:
        yield _replace(value, FaultClass.INITIAL, "zero for minus infinity", "0.0f")
    elif kind == "int" and not pointer:
        yield _replace(value, FaultClass.INITIAL, "start off by one", f"({text}) + 1")
    shortened = declaration.child_by_field_name("type")
    if pointer or shortened is None:
        return
    if kind == "float" and not re.fullmatch(r"-?INFINITY|[01](\.0f?)?", text):
        yield _replace(value, FaultClass.PRECISION, "rounded to TF32", _kept(text, _TF32))
        yield _replace(value, FaultClass.PRECISION, "rounded to bfloat16", _kept(text, _BFLOAT16))
    if kind == "float":
        yield _replace(shortened, FaultClass.TYPE, "int for float", "int")
    if kind == "int" and not looped:
        yield _replace(shortened, FaultClass.TYPE, "signed char for int", "signed char")


def _kept(text: str, bits: str) -> str:
    return f"__uint_as_float(__float_as_uint({text}) & {bits})"


def _assignment(node: Node) -> Iterator[_Edit]:
    left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
    sign = node.child_by_field_name("operator")
    if left is None or right is None or sign is None:
        return
    if _in_update(node.named_children[0]):
        if _text(sign) == "+=":
            yield _replace(right, FaultClass.INDEX, "stride off by one", f"({_text(right)} + 1)")
        return
    if _text(sign) == "+=":
        yield _replace(sign, FaultClass.OPERATOR, "assignment for accumulation", "=")
        yield _replace(sign, FaultClass.OPERATOR, "subtraction for accumulation", "-=")
        if left.type == "identifier" and not _declared_int(node, _text(left)):
            total = f"{_text(left)} = __half2float(__float2half({_text(left)} + ({_text(right)})))"
            yield _replace(node, FaultClass.PRECISION, "half accumulator", total, _HALF)
            yield _replace(right, FaultClass.PRECISION, "summands rounded to TF32", _kept(_text(right), _TF32))
    elif _text(sign) == "=" and left.type == "subscript_expression" and _text(right).count("float") == 0:
        yield _replace(
            right, FaultClass.PRECISION, "result rounded to bfloat16", _kept(f"float({_text(right)})", _BFLOAT16)
        )


def _declared_int(node: Node, name: str) -> bool:
    return re.search(rf"\b(int|int64_t|long long|unsigned)\s+{re.escape(name)}\b", _text(_function(node))) is not None


def _call(node: Node) -> Iterator[_Edit]:
    function, arguments = node.child_by_field_name("function"), node.child_by_field_name("arguments")
    if function is None or arguments is None:
        return
    name = _text(function)
    if name in _FUNCTIONS:
        yield _replace(function, FaultClass.OPERATOR, "another function", _FUNCTIONS[name])
    if name in _SHUFFLES:
        yield _replace(function, FaultClass.MASK, "another shuffle", _SHUFFLES[name])
    if name == "atomicAdd" and arguments.named_child_count > 1:
        target, value = (_text(child) for child in arguments.named_children[:2])
        yield _replace(node, FaultClass.BARRIER, "plain addition for an atomic one", f"*({target}) += {value}")


def _field(node: Node) -> Iterator[_Edit]:
    owner, axis = node.child_by_field_name("argument"), node.child_by_field_name("field")
    if owner is not None and axis is not None and _text(owner) in _BUILTINS and _text(axis) in _OTHER_AXIS:
        yield _replace(axis, FaultClass.INDEX, "the other axis", _OTHER_AXIS[_text(axis)])


def _identifier(node: Node) -> Iterator[_Edit]:
    """Take another size of the kernel in an index: a stride of the wrong tensor."""
    function = _function(node)
    if function is None or _place(node, FaultClass.TERM) is not FaultClass.INDEX:
        return
    head = _text(function).split("{", 1)[0]
    sizes = re.findall(r"\b(?:int|int64_t|long long)\s+(\w+)\s*[,)]", head)
    if _text(node) in sizes and len(sizes) > 1:
        other = sizes[(sizes.index(_text(node)) + 1) % len(sizes)]
        yield _replace(node, FaultClass.INDEX, "size of another axis", other)


_HANDLERS: dict[str, Callable[[Node], Iterator[_Edit]]] = {
    "expression_statement": _statement,
    "binary_expression": _binary,
    "number_literal": _number,
    "init_declarator": _initialised,
    "assignment_expression": _assignment,
    "call_expression": _call,
    "field_expression": _field,
    "identifier": _identifier,
}

_LAUNCH: tuple[tuple[str, str, str], ...] = (
    (r"cdiv\(([^,]+), (\w+)\)", r"max((\1) // \2, 1)", "the last block is missing"),
    (r'grid = \["rows"\]', r'grid = ["max(rows - 1, 1)"]', "the last row is missing"),
    (r'"cdiv\(rows, (\d+)\)"', r'"max(cdiv(rows, \1) - 1, 1)"', "the last rows are missing"),
    (r'int32 = "(\w+)"', r'int32 = "\1 - 1"', "size off by one"),
    (r'int32 = "(\w+)"', r'int32 = "\1 + 1"', "size off by one"),
    (r"block = \[32, (\d+)\]", r"block = [16, \1]", "half a warp"),
    (r"block = \[(\d\d+)\]", r"block = [32]", "a block of one warp"),
    (r"zero = true\n", r"", "result not set to zero"),
    (r"cols \* 4", r"cols * 2", "too little shared memory"),
    (r'args = \["(\w+)", "(\w+)"', r'args = ["\2", "\1"', "arguments swapped"),
    (r'"bias", "y"', r'"weight", "y"', "another tensor"),
)
"""Edits of a launch specification: pattern, replacement, what it is."""


def launch_faults(text: str, file: str) -> list[Fault]:
    """Return the faults of a launch specification, each at one place."""
    found = []
    for pattern, replacement, operator in _LAUNCH:
        for match in re.finditer(pattern, text):
            start, end = (len(text[:at].encode()) for at in match.span())
            found.append(Fault(FaultClass.LAUNCH, operator, file, start, end, match.expand(replacement)))
    return found
