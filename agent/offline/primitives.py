"""The pointwise primitives and how each is written in CUDA C++, and the C type of each element type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isinf, isnan

from tasks.values import DType

C_TYPE = {
    DType.FLOAT64: "double",
    DType.FLOAT32: "float",
    DType.FLOAT16: "float",
    DType.BFLOAT16: "float",
    DType.INT64: "int64_t",
    DType.INT32: "int64_t",
    DType.INT16: "int64_t",
    DType.INT8: "int64_t",
    DType.UINT8: "int64_t",
    DType.BOOL: "bool",
}
"""Type that values are computed in: half precision in float, integers in 64 bits."""

STORAGE_TYPE = {
    DType.FLOAT64: "double",
    DType.FLOAT32: "float",
    DType.FLOAT16: "__half",
    DType.BFLOAT16: "__nv_bfloat16",
    DType.INT64: "int64_t",
    DType.INT32: "int32_t",
    DType.INT16: "int16_t",
    DType.INT8: "int8_t",
    DType.UINT8: "uint8_t",
    DType.BOOL: "bool",
}
"""Type of an element in memory."""

SCALAR_TYPE = {
    DType.FLOAT64: "torch::kFloat64",
    DType.FLOAT32: "torch::kFloat32",
    DType.FLOAT16: "torch::kFloat16",
    DType.BFLOAT16: "torch::kBFloat16",
    DType.INT64: "torch::kInt64",
    DType.INT32: "torch::kInt32",
    DType.INT16: "torch::kInt16",
    DType.INT8: "torch::kInt8",
    DType.UINT8: "torch::kUInt8",
    DType.BOOL: "torch::kBool",
}
"""Name of an element type in host code."""


@dataclass(frozen=True, slots=True)
class Primitive:
    """How one primitive is written.

    `text` is a format string over the operands `{0}`, `{1}`, ...; `{f}` is the suffix of a single-precision
    function and `{one}` the literal 1 of the type.
    """

    text: str
    floating: bool = False
    """Only defined on floating-point operands."""
    costly: bool = False
    """Takes many instructions or the special-function unit: worth keeping rather than computing again."""


PRIMITIVES = {
    "add": Primitive("({0} + {1})"),
    "sub": Primitive("({0} - {1})"),
    "mul": Primitive("({0} * {1})"),
    "div": Primitive("({0} / {1})", floating=True, costly=True),
    "neg": Primitive("(-{0})"),
    "abs": Primitive("fabs{f}({0})", floating=True),
    "reciprocal": Primitive("({one} / {0})", floating=True, costly=True),
    "exp": Primitive("exp{f}({0})", floating=True, costly=True),
    "exp2": Primitive("exp2{f}({0})", floating=True, costly=True),
    "expm1": Primitive("expm1{f}({0})", floating=True, costly=True),
    "log": Primitive("log{f}({0})", floating=True, costly=True),
    "log1p": Primitive("log1p{f}({0})", floating=True, costly=True),
    "log2": Primitive("log2{f}({0})", floating=True, costly=True),
    "log10": Primitive("log10{f}({0})", floating=True, costly=True),
    "sqrt": Primitive("sqrt{f}({0})", floating=True, costly=True),
    "rsqrt": Primitive("rsqrt{f}({0})", floating=True, costly=True),
    "cbrt": Primitive("cbrt{f}({0})", floating=True, costly=True),
    "tanh": Primitive("tanh{f}({0})", floating=True, costly=True),
    "sinh": Primitive("sinh{f}({0})", floating=True, costly=True),
    "cosh": Primitive("cosh{f}({0})", floating=True, costly=True),
    "sin": Primitive("sin{f}({0})", floating=True, costly=True),
    "cos": Primitive("cos{f}({0})", floating=True, costly=True),
    "tan": Primitive("tan{f}({0})", floating=True, costly=True),
    "asin": Primitive("asin{f}({0})", floating=True, costly=True),
    "acos": Primitive("acos{f}({0})", floating=True, costly=True),
    "atan": Primitive("atan{f}({0})", floating=True, costly=True),
    "atan2": Primitive("atan2{f}({0}, {1})", floating=True, costly=True),
    "erf": Primitive("erf{f}({0})", floating=True, costly=True),
    "erfc": Primitive("erfc{f}({0})", floating=True, costly=True),
    "pow": Primitive("pow{f}({0}, {1})", floating=True, costly=True),
    "fmod": Primitive("fmod{f}({0}, {1})", floating=True, costly=True),
    "floor": Primitive("floor{f}({0})", floating=True),
    "ceil": Primitive("ceil{f}({0})", floating=True),
    "trunc": Primitive("trunc{f}({0})", floating=True),
    "round": Primitive("rint{f}({0})", floating=True),
    "sign": Primitive("static_cast<{type}>(({0} > 0) - ({0} < 0))"),
    "maximum": Primitive("maximum({0}, {1})"),
    "minimum": Primitive("minimum({0}, {1})"),
    "fmax": Primitive("fmax{f}({0}, {1})", floating=True),
    "fmin": Primitive("fmin{f}({0}, {1})", floating=True),
    "eq": Primitive("({0} == {1})"),
    "ne": Primitive("({0} != {1})"),
    "lt": Primitive("({0} < {1})"),
    "le": Primitive("({0} <= {1})"),
    "gt": Primitive("({0} > {1})"),
    "ge": Primitive("({0} >= {1})"),
    "isfinite": Primitive("isfinite({0})", floating=True),
    "where": Primitive("({0} ? {1} : {2})"),
    "bitwise_and": Primitive("({0} & {1})"),
    "bitwise_or": Primitive("({0} | {1})"),
    "bitwise_xor": Primitive("({0} ^ {1})"),
}
"""By name in `torch.ops.prims`. `maximum` and `minimum` hand on NaN, as PyTorch's do."""


def literal_text(value: float, c_type: str) -> str:
    """Return `value` as a C++ literal of `c_type`."""
    if c_type == "bool":
        return "true" if value else "false"
    if c_type == "int64_t":
        return f"{int(value)}"
    suffix = "f" if c_type == "float" else ""
    if isnan(value):
        return f"static_cast<{c_type}>(NAN)"
    if isinf(value):
        sign = "-" if value < 0 else ""
        return f"{sign}static_cast<{c_type}>(INFINITY)"
    return f"{float(value)!r}{suffix}"


def apply_text(op: str, operands: Sequence[str], operand_type: str, result_type: str) -> str:
    """Return the C++ expression of primitive `op` over `operands` of one C type."""
    if op == "cast":
        return operands[0] if operand_type == result_type else f"static_cast<{result_type}>({operands[0]})"
    if op == "bitwise_not":
        return f"(!{operands[0]})" if operand_type == "bool" else f"(~{operands[0]})"
    suffix = "f" if operand_type == "float" else ""
    one = literal_text(1.0, operand_type)
    return PRIMITIVES[op].text.format(*operands, f=suffix, one=one, type=result_type)
