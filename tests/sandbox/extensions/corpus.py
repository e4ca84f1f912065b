"""The corpus: extension sources in the styles that people and models write, each with what it must compute."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812 -- its usual name

from tests.sandbox.extensions.case import Arguments, Case

HALF_TOLERANCE = 2e-3
BRAIN_TOLERANCE = 1e-2


def normal(*shapes: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Callable[[torch.Generator], Arguments]:
    """Return a function that draws normal tensors."""
    return lambda draw: tuple(torch.randn(shape, generator=draw).to(dtype) for shape in shapes)


def integers(shape: tuple[int, ...], low: int, high: int, dtype: torch.dtype, draw: torch.Generator) -> torch.Tensor:
    return torch.randint(low, high, shape, generator=draw).to(dtype)


def embedding(draw: torch.Generator) -> Arguments:
    return torch.randn((20, 6), generator=draw).half(), integers((3, 5), 0, 20, torch.int32, draw)


def lltm(gates: torch.Tensor, cell: torch.Tensor) -> Arguments:
    first, second, third = gates.view(5, 3, 40).unbind(1)
    new = cell + F.elu(third) * first.sigmoid()
    return new.tanh() * second.sigmoid(), new, first.sigmoid()


def layer_norm(x: torch.Tensor, gamma: torch.Tensor, beta: torch.Tensor) -> Arguments:
    return (
        torch.native_layer_norm(x, [x.shape[1]], gamma, beta, 1e-5)[0],
        x.mean(1),
        (x.var(1, correction=0) + 1e-5).rsqrt(),
    )


def histogram(labels: torch.Tensor, weights: torch.Tensor) -> Arguments:
    inside = (labels >= 0) & (labels < 10)
    labels, weights = labels[inside], weights[inside]
    return torch.bincount(labels, minlength=10).int(), torch.zeros(10).index_add(0, labels, weights)


def blur(x: torch.Tensor) -> torch.Tensor:
    taps = torch.tensor([0.0625, 0.25, 0.375, 0.25, 0.0625])
    return F.conv1d(F.pad(x.unsqueeze(1), (2, 2), mode="replicate"), taps.view(1, 1, 5)).squeeze(1)


def scaled(x: torch.Tensor) -> Arguments:
    return (x.flatten() * (0.5 * (torch.arange(x.numel()) % 5))).view(x.shape), torch.tensor([2.0])


def swiglu(x: torch.Tensor) -> torch.Tensor:
    gate, up = x.float().chunk(2, -1)
    return (F.silu(gate) * up).to(x.dtype)


def quantized(x: torch.Tensor) -> torch.Tensor:
    return (x.float() * 16).round().clamp(-128, 127).to(torch.int8)


def causal(x: torch.Tensor) -> torch.Tensor:
    return torch.where(torch.ones_like(x).triu(1).bool(), torch.tensor(-1e9), x * 0.125)


def views(x: torch.Tensor) -> Arguments:
    wide = x[0].unsqueeze(0).expand(3, -1, -1)
    return x.permute(2, 0, 1), x.transpose(1, 2), x[:, :, 1:-1], x[:, ::2], x[1].unsqueeze(0), wide


def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return F.scaled_dot_product_attention(q.double(), k.double(), v.double(), is_causal=True).to(q.dtype)


def mish_then_half(x: torch.Tensor) -> torch.Tensor:
    return F.mish(x.float()).half() + (x.float() * 0.5).half()


def dp4a(draw: torch.Generator) -> Arguments:
    return integers((9, 128), -128, 128, torch.int8, draw), integers((9, 128), -128, 128, torch.int8, draw)


def rms_norm(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return F.rms_norm(x.double(), [x.shape[1]], weight.double(), 1e-6).to(x.dtype)


CASES = (
    Case("relu_basic", normal((7, 41)), F.relu, tolerance=0),
    Case("lltm_cell", normal((5, 120), (5, 40)), lltm),
    Case("dispatch_and2", normal((6, 300)), lambda x: x.mean(1)),
    Case("dispatch_and2", normal((6, 300), dtype=torch.bfloat16), lambda x: x.mean(1), BRAIN_TOLERANCE),
    Case("dispatch_index", embedding, lambda table, index: table[index], tolerance=0),
    Case("accessor64_transpose", normal((33, 18)), torch.t, tolerance=0),
    Case("half2_axpy", normal((6, 50), (6, 50), dtype=torch.half), lambda x, y: 1.5 * x + y, HALF_TOLERANCE),
    Case("bf162_swiglu", normal((5, 96), dtype=torch.bfloat16), swiglu, BRAIN_TOLERANCE),
    Case("outputs_vector", normal((4, 77)), lambda x: (x.amin(1), x.amax(1)), tolerance=0),
    Case("outputs_tuple", normal((6, 90), (90,), (90,)), layer_norm),
    Case("optional_bias", normal((5, 30), (30,)), torch.add),
    Case("optional_bias", normal((5, 30), (30,), (30,)), lambda x, bias, scale: x * scale + bias),
    Case("stream_raw", normal((1000,)), torch.square),
    Case("stream_events", normal((3, 33)), lambda x: x + 1, tolerance=0),
    Case("guards", normal((9, 20), dtype=torch.float64), torch.neg, tolerance=0),
    Case("library_schema", normal((8, 25)), lambda x: x.clamp(-1, 1), tolerance=0),
    Case("library_fragment", normal((500,)), lambda x: x**3),
    Case("bind_both", normal((4, 70)), lambda x: 2 * x, tolerance=0),
    Case("bind_both", normal((4, 70)), lambda x: x / 2, tolerance=0, entry="backward"),
    Case("py_arg_defaults", normal((6, 20)), lambda x: 3 - 1.5 * x),
    Case("inplace_out", normal((6, 20), (6, 20)), lambda x, y: y + 2.5 * x),
    Case("checks", normal((17,), (90,)), torch.outer),
    Case(
        "printed_options",
        normal((11, 30), (2,), dtype=torch.half),
        lambda x, pair: (x.float().relu().sqrt() * pair[0] + pair[1]).half(),
        HALF_TOLERANCE,
    ),
    Case("const_data", normal((700,), dtype=torch.half), lambda x: x.flip(0), tolerance=0),
    Case("const_data", lambda draw: (integers((90,), 0, 2, torch.bool, draw),), lambda x: x.flip(0), tolerance=0),
    Case("sizes_api", normal((2, 3, 6, 6)), torch.triu, tolerance=0),
    Case("argmax_long", normal((5, 100)), lambda x: tuple(x.max(1)), tolerance=0),
    Case("likes", normal((4, 30)), lambda x: x + 5.75),
    Case("host_table", normal((4, 30)), scaled, tolerance=0),
    Case("at_cuda_parts", normal((30, 40)), lambda x: 2 * x.sum(0)),
    Case("cub_block_reduce", normal((5, 400)), lambda x: x.sum(1)),
    Case("cub_all", normal((3, 500)), lambda x: x.cumsum(1), tolerance=1e-4),
    Case("coop_groups", normal((10, 65)), lambda x: x.softmax(1)),
    Case("restrict_templates", normal((7, 90)), quantized, tolerance=0),
    Case("constexpr_table", normal((9, 70)), blur),
    Case(
        "constant_memory",
        normal((20, 35), (3, 3)),
        lambda x, f: F.conv2d(x[None, None], f[None, None], padding=1)[0, 0],
    ),
    Case("static_workspace", normal((5000,)), torch.sum, tolerance=1e-4),
    Case(
        "conv2d_lists",
        normal((2, 3, 9, 8), (4, 3, 3, 2), (4,)),
        lambda x, w, b: F.conv2d(x, w, b, (2, 1), (1, 1), (1, 2)),
    ),
    Case("scalar_eps", normal((5, 200), (200,)), rms_norm),
    Case("scalar_eps", normal((5, 200), (200,), dtype=torch.half), rms_norm, HALF_TOLERANCE),
    Case(
        "string_modes",
        normal((6, 45)),
        lambda x: (x.mean(1, keepdim=True), x.amax(1, keepdim=True), x.sum(1, keepdim=True)),
    ),
    Case("bool_flags", normal((9, 9)), causal),
    Case("pool5d", normal((2, 3, 4, 6, 5)), lambda x: F.avg_pool3d(x, 2)),
    Case("launch_bounds", normal((50, 70)), torch.t, tolerance=0),
    Case("dynamic_shared", normal((3, 100)), lambda x: x.sort(1).values, tolerance=0),
    Case("sgemm_tiled", normal((40, 21), (21, 50)), torch.matmul, tolerance=1e-4),
    Case("vector_loads", normal((6, 20)), lambda x: F.gelu(x, approximate="tanh")),
    Case(
        "histogram_atomics",
        lambda draw: (integers((500,), -1, 12, torch.int64, draw), torch.randn(500, generator=draw)),
        histogram,
        tolerance=1e-4,
    ),
    Case("backward_entry", normal((300,)), torch.sigmoid),
    Case("backward_entry", normal((300,), (300,)), lambda g, y: g * y * (1 - y), entry="backward"),
    Case("half_math", normal((300,), dtype=torch.bfloat16), F.mish, BRAIN_TOLERANCE),
    Case("half_math", normal((300,), dtype=torch.half), mish_then_half, HALF_TOLERANCE),
    Case("custom_dispatch", normal((3, 5, 64), dtype=torch.half), swiglu, HALF_TOLERANCE),
    Case("functors", normal((700,)), lambda x: F.leaky_relu(x, 0.1).clamp(max=1)),
    Case("views_strides", normal((4, 6, 7)), views, tolerance=0),
    Case("tensor_cores", normal((32, 48), (48, 16), dtype=torch.half), lambda a, b: a.float() @ b.float(), 1e-3),
    Case("inline_ptx", normal((130,)), lambda x: (x.tanh(), (torch.arange(130) % 32).int()), 1e-3),
    Case("int8_dp4a", dp4a, lambda a, b: (a.int() * b.int()).sum(1).int(), tolerance=0),
    Case(
        "bool_mask",
        lambda draw: (torch.randn((8, 30), generator=draw).bfloat16(), integers((8, 30), 0, 2, torch.bool, draw)),
        lambda x, mask: (x.masked_fill(mask, -3), mask.byte()),
        tolerance=0,
    ),
    Case("attention_online", normal(*((2, 2, 9, 64),) * 3, dtype=torch.half), attention, HALF_TOLERANCE),
    Case("std_names", normal((3, 4, 5)), lambda x: x.permute(2, 1, 0), tolerance=0),
    Case("scalars_any", normal((90,)), lambda x: 2 * x + 0.5, tolerance=0),
)
