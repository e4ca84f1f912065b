"""Kernels in the manner of Triton's tutorials, compiled by Triton, run on the simulated card, held to PyTorch."""

# ruff: noqa: N803, PLR0917 - Triton kernels: constants in capitals, arguments by position

import pytest
import torch
import triton
import triton.language as tl
from torch.testing import assert_close


@pytest.fixture(autouse=True)
def seeded(card):
    torch.manual_seed(7)


@triton.jit
def add_kernel(x, y, out, n, BLOCK: tl.constexpr):
    index = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = index < n
    tl.store(out + index, tl.load(x + index, mask=inside) + tl.load(y + index, mask=inside), mask=inside)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.int64])
def test_vector_add(dtype):
    x, y = (torch.randn(3001) * 50).to(dtype), (torch.randn(3001) * 50).to(dtype)
    out = torch.empty_like(x)
    add_kernel[(triton.cdiv(3001, 1024),)](x, y, out, 3001, BLOCK=1024)
    assert torch.equal(out, x + y)


@triton.jit
def softmax_kernel(x, out, stride, rows, columns, BLOCK: tl.constexpr):
    for row in tl.range(tl.program_id(0), rows, tl.num_programs(0), num_stages=2):
        index = tl.arange(0, BLOCK)
        values = tl.load(x + row * stride + index, mask=index < columns, other=-float("inf"))
        weights = tl.exp(values - tl.max(values, axis=0))
        tl.store(out + row * stride + index, weights / tl.sum(weights, axis=0), mask=index < columns)


def test_fused_softmax_over_a_persistent_grid():
    x = torch.randn(37, 781)
    out = torch.empty_like(x)
    softmax_kernel[(8,)](x, out, x.stride(0), 37, 781, BLOCK=1024, num_warps=8)
    assert_close(out, torch.softmax(x, 1))


@triton.jit
def matmul_kernel(
    a, b, c, m, n, k,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, GROUP: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    tiles_m, tiles_n = tl.cdiv(m, BM), tl.cdiv(n, BN)
    group = tl.program_id(0) // (GROUP * tiles_n)
    height = min(tiles_m - group * GROUP, GROUP)
    within = tl.program_id(0) % (GROUP * tiles_n)
    row = (group * GROUP + within % height) * BM + tl.arange(0, BM)
    column = (within // height) * BN + tl.arange(0, BN)
    depth = tl.arange(0, BK)
    sums = tl.zeros((BM, BN), dtype=tl.float32)
    for start in range(tl.cdiv(k, BK)):
        left = k - start * BK
        at = start * BK + depth
        tile_a = tl.load(
            a + row[:, None] * k + at[None, :], mask=(row[:, None] < m) & (depth[None, :] < left), other=0.0
        )
        tile_b = tl.load(
            b + at[:, None] * n + column[None, :], mask=(depth[:, None] < left) & (column[None, :] < n), other=0.0
        )
        sums = tl.dot(tile_a, tile_b, sums, input_precision=PRECISION)
    tl.store(
        c + row[:, None] * n + column[None, :],
        sums.to(c.dtype.element_ty),
        mask=(row[:, None] < m) & (column[None, :] < n),
    )


@pytest.mark.parametrize(
    ("dtype", "precision", "tolerance"),
    [
        (torch.float16, "tf32", 2e-3),
        (torch.bfloat16, "tf32", 2e-2),
        (torch.float32, "tf32", 6e-2),
        (torch.float32, "ieee", 1e-4),
    ],
)
def test_matrix_product(dtype, precision, tolerance):
    a, b = torch.randn(100, 72).to(dtype), torch.randn(72, 136).to(dtype)
    c = torch.empty(100, 136, dtype=dtype)
    grid = (triton.cdiv(100, 64) * triton.cdiv(136, 64),)
    matmul_kernel[grid](a, b, c, 100, 136, 72, BM=64, BN=64, BK=32, GROUP=2, PRECISION=precision, num_stages=3)
    assert_close(c.double(), a.double() @ b.double(), atol=tolerance, rtol=tolerance)


@triton.jit
def dropout_kernel(x, out, n, probability, seed, BLOCK: tl.constexpr):
    index = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    kept = tl.rand(seed, index) > probability
    values = tl.load(x + index, mask=index < n)
    tl.store(out + index, tl.where(kept, values / (1 - probability), 0.0), mask=index < n)


def test_dropout_by_seed():
    x = torch.rand(20_000) + 1
    first, again, other = (torch.empty_like(x) for _ in range(3))
    for out, seed in ((first, 123), (again, 123), (other, 124)):
        dropout_kernel[(20,)](x, out, 20_000, 0.3, seed, BLOCK=1024)
    kept = first != 0
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert 0.68 < kept.float().mean() < 0.72
    assert_close(first[kept], (x / 0.7)[kept])


@triton.jit
def layer_norm_kernel(x, out, weight, bias, mean, rstd, columns, eps, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    index = tl.arange(0, BLOCK)
    inside = index < columns
    values = tl.load(x + row * columns + index, mask=inside, other=0.0).to(tl.float32)
    average = tl.sum(values, axis=0) / columns
    centred = tl.where(inside, values - average, 0.0)
    scale = 1 / tl.sqrt(tl.sum(centred * centred, axis=0) / columns + eps)
    tl.store(mean + row, average)
    tl.store(rstd + row, scale)
    result = centred * scale * tl.load(weight + index, mask=inside) + tl.load(bias + index, mask=inside)
    tl.store(out + row * columns + index, result, mask=inside)


@triton.jit
def layer_norm_backward_kernel(
    dx, dy, dweight, dbias, x, weight, mean, rstd, locks, columns, GROUP: tl.constexpr, BLOCK: tl.constexpr
):
    row = tl.program_id(0)
    index = tl.arange(0, BLOCK)
    inside = index < columns
    values = tl.load(x + row * columns + index, mask=inside, other=0.0)
    gradient = tl.load(dy + row * columns + index, mask=inside, other=0.0)
    scaled = tl.load(weight + index, mask=inside, other=0.0) * gradient
    scale = tl.load(rstd + row)
    unit = tl.where(inside, (values - tl.load(mean + row)) * scale, 0.0)
    along = tl.sum(unit * scaled, axis=0) / columns
    tl.store(
        dx + row * columns + index, (scaled - (unit * along + tl.sum(scaled, axis=0) / columns)) * scale, mask=inside
    )
    slot = row % GROUP
    while tl.atomic_cas(locks + slot, 0, 1) == 1:
        pass
    place = slot * columns + index
    tl.store(dweight + place, tl.load(dweight + place, mask=inside) + gradient * unit, mask=inside)
    tl.store(dbias + place, tl.load(dbias + place, mask=inside) + gradient, mask=inside)
    tl.debug_barrier()
    tl.atomic_xchg(locks + slot, 0)


def test_layer_norm_forward_and_backward():
    rows, columns = 24, 300
    x = torch.randn(rows, columns, requires_grad=True)
    weight, bias = (torch.randn(columns, requires_grad=True) for _ in range(2))
    out, mean, rstd = torch.empty(rows, columns), torch.empty(rows), torch.empty(rows)
    layer_norm_kernel[(rows,)](x.detach(), out, weight.detach(), bias.detach(), mean, rstd, columns, 1e-5, BLOCK=512)
    expected = torch.nn.functional.layer_norm(x, (columns,), weight, bias)
    assert_close(out, expected.detach(), atol=1e-5, rtol=1e-5)

    gradient = torch.randn(rows, columns)
    expected.backward(gradient)
    dx, partial_weight, partial_bias = torch.empty(rows, columns), torch.zeros(4, columns), torch.zeros(4, columns)
    layer_norm_backward_kernel[(rows,)](
        dx, gradient, partial_weight, partial_bias, x.detach(), weight.detach(), mean, rstd,
        torch.zeros(4, dtype=torch.int32), columns, GROUP=4, BLOCK=512,
    )  # fmt: skip
    assert_close(dx, x.grad, atol=1e-5, rtol=1e-4)
    assert_close(partial_weight.sum(0), weight.grad, atol=1e-5, rtol=1e-4)
    assert_close(partial_bias.sum(0), bias.grad, atol=1e-5, rtol=1e-4)


@triton.jit
def attention_kernel(
    q, k, v, out, scale, length, CAUSAL: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr, WIDTH: tl.constexpr
):
    start = tl.program_id(0) * BM
    base = tl.program_id(1) * length * WIDTH
    rows, width = start + tl.arange(0, BM), tl.arange(0, WIDTH)
    query = tl.load(q + base + rows[:, None] * WIDTH + width[None, :])
    top = tl.full((BM,), -float("inf"), tl.float32)
    total = tl.zeros((BM,), tl.float32)
    sums = tl.zeros((BM, WIDTH), tl.float32)
    last = start + BM if CAUSAL else length
    for at in range(0, last, BN):
        columns = at + tl.arange(0, BN)
        key = tl.load(k + base + columns[None, :] * WIDTH + width[:, None])
        scores = tl.dot(query, key) * (scale * 1.44269504)
        if CAUSAL:
            scores = tl.where(rows[:, None] >= columns[None, :], scores, -float("inf"))
        higher = tl.maximum(top, tl.max(scores, 1))
        weights = tl.exp2(scores - higher[:, None])
        fade = tl.exp2(top - higher)
        total = total * fade + tl.sum(weights, 1)
        value = tl.load(v + base + columns[:, None] * WIDTH + width[None, :])
        sums = tl.dot(weights.to(value.dtype), value, sums * fade[:, None])
        top = higher
    tl.store(out + base + rows[:, None] * WIDTH + width[None, :], (sums / total[:, None]).to(out.dtype.element_ty))


@pytest.mark.parametrize("causal", [False, True])
def test_flash_attention(causal):
    q, k, v = torch.randn(3, 2, 128, 32).half()
    out = torch.empty_like(q)
    attention_kernel[(2, 2)](q, k, v, out, 32**-0.5, 128, CAUSAL=causal, BM=64, BN=32, WIDTH=32)
    expected = torch.nn.functional.scaled_dot_product_attention(q.float(), k.float(), v.float(), is_causal=causal)
    assert_close(out.float(), expected, atol=4e-3, rtol=4e-3)


@triton.jit
def statistics_kernel(x, group, sums, peaks, counts, n, BLOCK: tl.constexpr):
    index = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = index < n
    values = tl.load(x + index, mask=inside, other=0.0)
    place = tl.load(group + index, mask=inside, other=0)
    tl.atomic_add(sums + place, values, mask=inside)
    tl.atomic_max(peaks + place, values, mask=inside)
    tl.atomic_add(counts, tl.sum(inside.to(tl.int32), axis=0))


def test_grouped_reductions_with_atomics():
    x, group = torch.randn(5000), torch.randint(0, 13, (5000,), dtype=torch.int32)
    sums, peaks, count = torch.zeros(13), torch.full((13,), -float("inf")), torch.zeros(1, dtype=torch.int32)
    statistics_kernel[(10,)](x, group, sums, peaks, count, 5000, BLOCK=512)
    assert count.item() == 5000
    assert_close(sums, torch.zeros(13).index_add(0, group.long(), x), atol=1e-3, rtol=1e-4)
    assert torch.equal(peaks, torch.full((13,), -float("inf")).scatter_reduce(0, group.long(), x, "amax"))


@triton.jit
def scan_sort_kernel(x, sums, ranks, first, BLOCK: tl.constexpr):
    index = tl.arange(0, BLOCK)
    values = tl.load(x + index)
    tl.store(sums + index, tl.cumsum(values, axis=0))
    tl.store(ranks + index, tl.sort(values))
    tl.store(first, tl.argmax(values, axis=0))


def test_scan_sort_and_argmax():
    x = torch.randn(512)
    sums, ranks, first = torch.empty(512), torch.empty(512), torch.empty(1, dtype=torch.int32)
    scan_sort_kernel[(1,)](x, sums, ranks, first, BLOCK=512)
    assert_close(sums, x.cumsum(0), atol=1e-4, rtol=1e-4)
    assert torch.equal(ranks, x.sort().values)
    assert first.item() == x.argmax().item()
