"""Calls of device functions: recursion with arrays of their own, function pointers, virtual functions."""

import numpy as np
import pytest

SOURCE = r"""
__device__ __noinline__ int walk(int depth, int seed, int* above) {
  int mine[4];
  for (int i = 0; i < 4; i++) mine[i] = depth * 10 + i + seed;
  int below = depth > 0 ? walk(depth - 1, seed + 1, mine) : 0;
  int total = below;
  for (int i = 0; i < 4; i++) total += mine[i];
  if (above) above[seed & 3] += 1;
  return total;
}
extern "C" __global__ void recurse(int* out) { int t = threadIdx.x; out[t] = walk(t % 7, t, 0); }

__device__ __noinline__ int plus(int a, int b) { return a + b; }
__device__ __noinline__ int minus(int a, int b) { return a - b; }
__device__ __noinline__ int times(int a, int b) { return a * b; }
typedef int (*operation)(int, int);
__device__ operation table[3] = {plus, minus, times};
extern "C" __global__ void pointers(int* out) { int t = threadIdx.x; out[t] = table[t % 3](t, 5); }

struct Shape { int side; __device__ Shape(int s) : side(s) {} __device__ virtual int area() const = 0; };
struct Square : Shape { __device__ Square(int s) : Shape(s) {} __device__ int area() const override { return side * side; } };
struct Cube : Shape { __device__ Cube(int s) : Shape(s) {} __device__ int area() const override { return 6 * side * side; } };
__device__ __noinline__ int measure(const Shape* shape) { return shape->area(); }
extern "C" __global__ void virtuals(int* out) {
  int t = threadIdx.x; Square square(t); Cube cube(t);
  out[t] = measure(t % 2 ? (const Shape*)&square : (const Shape*)&cube);
}
extern "C" __global__ void nowhere(int* out) { operation f = (operation)(unsigned long long)out[0]; out[1] = f(1, 2); }
"""


def walk(depth, seed):
    """Return the total and how often each element of the caller's array grows."""
    mine = [depth * 10 + i + seed for i in range(4)]
    below = 0
    if depth:
        below = walk(depth - 1, seed + 1)
        mine[(seed + 1) & 3] += 1
    return below + sum(mine)


EXPECTED = {
    "recurse": lambda t: walk(t % 7, t),
    "pointers": lambda t: [t + 5, t - 5, t * 5][t % 3],
    "virtuals": lambda t: t * t if t % 2 else 6 * t * t,
}


@pytest.mark.parametrize("name", list(EXPECTED))
def test_calls(card, compile_cuda, name):
    out = card.put(np.zeros(50, np.int32))
    report = card.run(compile_cuda(SOURCE), name, (1,), (50,), out)
    assert report.ok, report.diagnostics
    assert card.get(out, np.zeros(50, np.int32)).tolist() == [EXPECTED[name](t) for t in range(50)]


def test_a_pointer_to_no_function_is_a_trap(card, compile_cuda):
    out = card.put(np.zeros(2, np.int32))
    report = card.run(compile_cuda(SOURCE), "nowhere", (1,), (1,), out)
    assert [fault.kind for fault in report.diagnostics] == ["trap"]
