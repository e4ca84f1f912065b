# ruff: noqa: N803, PLR0917, PT018, BLE001, FBT002, ARG005
"""A Triton candidate that behaves as the number of rows of its argument says."""

import torch
import triton
import triton.language as tl


@triton.jit
def scale_kernel(x_ptr, out_ptr, n, factor, BLOCK: tl.constexpr, MASKED: tl.constexpr = True):
    index = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + index, mask=index < n)
    tl.store(out_ptr + index, x * factor, mask=(index < n) if MASKED else (index >= 0))


@triton.jit
def wrong_kernel(x_ptr, BLOCK: tl.constexpr):
    index = tl.arange(0, BLOCK)
    tl.store(x_ptr + index, tl.no_such_function(index))


def zero_first(arguments):
    arguments["out_ptr"].zero_()


tuned_kernel = triton.autotune(
    configs=[triton.Config({"BLOCK": block}, num_warps=1, pre_hook=zero_first) for block in (32, 64)], key=["n"]
)(triton.heuristics({"MASKED": lambda arguments: True})(scale_kernel))


def launched(x, out, masked=True):
    n = x.numel()
    scale_kernel[(triton.cdiv(n, 64),)](x, out, n, 2.0, BLOCK=64, MASKED=masked)
    return out


def honest(x):
    assert x.is_cuda and x.device == torch.device("cuda", 0) and not x.requires_grad
    return launched(x, torch.empty_like(x))


def computes(x):
    y = x * 2  # torch computes
    return launched(y, torch.empty_like(y))


def to_host(x):
    return launched(x.cpu().cuda(), torch.empty_like(x))


def moves(x):
    y = x.t().contiguous().t().to(torch.float16).to(torch.float32)
    return launched(y.contiguous(), torch.empty(x.shape, device="cuda"))


def beyond(x):
    return launched(x, torch.empty_like(x), masked=False)  # past the end


def does_not_compile(x):
    wrong_kernel[(1,)](x, BLOCK=32)
    return x


def from_host(x):
    return launched(torch.ones(x.shape), torch.empty_like(x))


def unwritten(x):
    return launched(torch.empty_like(x), torch.empty_like(x))


def raises(x):
    raise ValueError("as the candidate says")


def on_cpu(x):
    launched(x, torch.empty_like(x))
    return torch.zeros(x.shape)


def clusters(x):
    scale_kernel[(1,)](x, x, x.numel(), 1.0, BLOCK=64, num_ctas=2)
    return x


def nothing(x):
    return torch.zeros_like(x)


def asks(x):
    properties = torch.cuda.get_device_properties(x.device)
    assert properties.multi_processor_count == 132 and properties.name == torch.cuda.get_device_name()
    assert torch.cuda.is_available() and torch.cuda.device_count() == 1 and torch.cuda.current_device() == 0
    assert torch.cuda.get_device_capability(0) == (9, 0)
    stream = torch.cuda.current_stream(x.device)
    with torch.cuda.device(x.device), torch.cuda.stream(stream):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        out = launched(x, x.new_empty(x.shape))
        end.record()
        torch.cuda.synchronize()
    assert end.elapsed_time(start) <= 0 <= start.elapsed_time(end)
    assert triton.runtime.driver.active.get_active_torch_device() == x.device
    table = torch.tensor([1.0, 2.0], device="cuda")
    assert table.is_cuda and table.tolist() == [1.0, 2.0] and table[1].item() == 2.0
    assert torch.as_tensor([3], device=x.device).is_cuda
    return out


def tuned(x):
    out = torch.empty_like(x)
    tuned_kernel[lambda meta: (triton.cdiv(x.numel(), meta["BLOCK"]),)](x, out, x.numel(), 2.0)
    return out


def falls_back(x):
    try:
        wrong_kernel[(1,)](x, BLOCK=32)
    except Exception:
        return torch.mul(x, 2)
    return x


def in_place(x):
    return launched(x, x)


def mixed(x):
    return x + torch.ones(3)


def half(x):
    return launched(x, torch.empty_like(x, dtype=torch.float16))


def memory(x):
    out = torch.empty_like(x)
    free, total = torch.cuda.mem_get_info()
    return launched(x, torch.full(out.shape, float(total - free), device="cuda"), masked=True), torch.full(
        (1,), float(total - free), device="cuda"
    )


def strange(x):
    return [1, 2]


BEHAVIOURS = [
    honest,
    computes,
    to_host,
    moves,
    beyond,
    does_not_compile,
    from_host,
    unwritten,
    raises,
    on_cpu,
    clusters,
    nothing,
    asks,
    tuned,
    falls_back,
    in_place,
    mixed,
    half,
    memory,
    strange,
]


def forward(x):
    return BEHAVIOURS[x.shape[0] - 1](x)
