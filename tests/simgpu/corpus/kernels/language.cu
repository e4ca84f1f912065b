// What the language allows on a device: recursion, switches, templates, lambdas, structures, local arrays,
// inline PTX, wide integers, bit tricks, constant tables.
#include <cstdint>
#include <cuda_fp16.h>

#define INDEX (blockIdx.x * blockDim.x + threadIdx.x)

__device__ __noinline__ int fibonacci(int n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }

extern "C" __global__ void recursion(int* out, int n) {
  int i = INDEX;
  if (i < n) out[i] = fibonacci(i % 13);
}

__device__ __noinline__ unsigned ackermann(unsigned m, unsigned n) {
  if (m == 0) return n + 1;
  return n == 0 ? ackermann(m - 1, 1) : ackermann(m - 1, ackermann(m, n - 1));
}

extern "C" __global__ void deep_recursion(unsigned* out) { out[threadIdx.x] = ackermann(2, threadIdx.x % 7); }

__device__ __noinline__ int place_queens(int n, unsigned columns, unsigned left, unsigned right) {
  unsigned all = (1u << n) - 1;
  if (columns == all) return 1;
  int found = 0;
  for (unsigned free = all & ~(columns | left | right); free; free &= free - 1) {
    unsigned bit = free & -free;
    found += place_queens(n, columns | bit, (left | bit) << 1, (right | bit) >> 1);
  }
  return found;
}

extern "C" __global__ void queens(int* out) { out[threadIdx.x] = place_queens(threadIdx.x % 7 + 1, 0, 0, 0); }

// A stack machine: one switch with many dense cases.
extern "C" __global__ void stack_machine(const int* program, const int* x, int* y, int length, int n) {
  int i = INDEX, stack[16], top = 0;
  if (i >= n) return;
  stack[top++] = x[i];
  for (int pc = 0; pc < length; pc++) {
    int word = program[pc], value = word >> 8;
    switch (word & 255) {
      case 0: stack[top++] = value; break;
      case 1: top--, stack[top - 1] += stack[top]; break;
      case 2: top--, stack[top - 1] -= stack[top]; break;
      case 3: top--, stack[top - 1] *= stack[top]; break;
      case 4: stack[top] = stack[top - 1], top++; break;
      case 5: { int s = stack[top - 1]; stack[top - 1] = stack[top - 2]; stack[top - 2] = s; break; }
      case 6: if (stack[--top] > 0) pc += value; break;
      case 7: stack[top - 1] = -stack[top - 1]; break;
      case 8: stack[top - 1] %= value; break;
      case 9: stack[top - 1] ^= value; break;
      default: stack[top - 1] = ~stack[top - 1];
    }
  }
  y[i] = stack[top - 1];
}

// Every lane takes its own case.
extern "C" __global__ void divergent_switch(const unsigned* x, unsigned* y, int n) {
  int i = INDEX;
  if (i >= n) return;
  unsigned v = x[i];
  switch (v % 9) {
    case 0: v = v * v; break;
    case 1: v = __brev(v); break;
    case 2: v = v / 7; break;
    case 3: v = __popc(v) * 100 + __clz(v);  // falls through
    case 4: v += 3; break;
    case 6: v = __byte_perm(v, 0x12345678, 0x5140); break;
    case 7: v = __funnelshift_l(v, v, 9); break;
    default: v = __ffs(v) | 0x8000;
  }
  y[i] = v;
}

template <typename T, int N, typename F>
struct Folder {
  F f;
  T kept[N];
  __device__ T fold(const T* x) {
    for (int k = 0; k < N; k++) kept[k] = f(x[k], k ? kept[k - 1] : T(0));
    return kept[N - 1];
  }
};

template <typename T, int N, typename F>
__device__ T folded(const T* x, F f) {
  Folder<T, N, F> folder{f};
  return folder.fold(x);
}

extern "C" __global__ void templates_and_lambdas(const int* x, const double* d, int* y, double* z, int bias) {
  int i = INDEX;
  y[i] = folded<int, 5>(x + i, [=](int a, int b) { return a * 3 + b * bias; });
  auto twice = [](auto v) { return v + v; };
  z[i] = folded<double, 3>(d + i, [&](double a, double b) { return twice(a) - b * 0.5; });
}

struct Particle {
  float3 at, speed;
  int kind;
  __device__ void move(float dt) { at.x += speed.x * dt, at.y += speed.y * dt, at.z += speed.z * dt; }
};

struct World { float gravity, dt; int steps; short bounce[3]; };

extern "C" __global__ void structures_by_value(Particle* p, World world, int n) {
  int i = INDEX;
  if (i >= n) return;
  Particle own = p[i];
  for (int s = 0; s < world.steps; s++) {
    own.speed.z -= world.gravity * world.dt;
    own.move(world.dt);
    if (own.at.z < 0) own.at.z = -own.at.z, own.speed.z *= -0.5f, own.kind += world.bounce[s % 3];
  }
  p[i] = own;
}

extern "C" __global__ void local_arrays(const int* x, int* y, int n) {
  int i = INDEX;
  if (i >= n) return;
  unsigned char count[64];
  short last[64];
  for (int k = 0; k < 64; k++) count[k] = 0, last[k] = -1;
  unsigned v = x[i];
  for (int k = 0; k < 100; k++) {
    v = v * 1664525u + 1013904223u;
    int b = v >> 26;
    count[b]++, last[b] = (short)k;
  }
  int best = 0;
  for (int k = 1; k < 64; k++)
    if (count[k] > count[best] || (count[k] == count[best] && last[k] > last[best])) best = k;
  y[i] = best * 10000 + count[best] * 100 + last[best];
}

// One dynamic buffer holds doubles, ints and bytes; each part at its own alignment.
extern "C" __global__ void shared_parts(const double* d, const int* x, const unsigned char* b, double* out) {
  extern __shared__ __align__(16) unsigned char pool[];
  double* doubles = reinterpret_cast<double*>(pool);
  int* ints = reinterpret_cast<int*>(doubles + blockDim.x);
  unsigned char* bytes = reinterpret_cast<unsigned char*>(ints + blockDim.x);
  int t = threadIdx.x, other = blockDim.x - 1 - t;
  doubles[t] = d[t], ints[t] = x[t], bytes[t] = b[t];
  __syncthreads();
  out[t] = doubles[other] + ints[(t + 5) % blockDim.x] * 2.0 + bytes[(t * 3) % blockDim.x];
}

__constant__ float taps[5] = {0.1f, -0.2f, 0.5f, 0.3f, -0.7f};
__constant__ struct { int add; char name[4]; long long wide; } settings = {7, {'a', 'b', 'c', 0}, 1LL << 40};
__device__ int lookup[4][3] = {{1, 2, 3}, {4, 5, 6}, {7, 8, 9}, {10, 11, 12}};
__device__ int* const lookup_rows[2] = {lookup[1], lookup[3]};

extern "C" __global__ void constant_tables(float* f, long long* w, int n) {
  int i = INDEX;
  if (i >= n) return;
  f[i] = taps[i % 5] * (lookup[i & 3][i % 3] + settings.add);
  w[i] = settings.wide + settings.name[i % 4] + lookup_rows[i & 1][i % 3];
}

extern "C" __global__ void grid_3d(int* out, int nx, int ny, int nz) {
  int x = INDEX, y = blockIdx.y * blockDim.y + threadIdx.y, z = blockIdx.z * blockDim.z + threadIdx.z;
  if (x < nx && y < ny && z < nz)
    out[(z * ny + y) * nx + x] = x + 100 * y + 10000 * z + 1000000 * (gridDim.x + 2 * gridDim.y + 3 * gridDim.z + blockDim.z);
}

extern "C" __global__ void inline_ptx(const unsigned* a, const unsigned* b, unsigned* out, int n) {
  int i = INDEX;
  if (i >= n) return;
  unsigned x = a[i], y = b[i], *o = out + i * 14;
  asm("bfe.u32 %0, %1, 5, 11;" : "=r"(o[0]) : "r"(x));
  asm("bfe.s32 %0, %1, %2, 7;" : "=r"(o[1]) : "r"(x), "r"(y & 31));
  asm("bfi.b32 %0, %1, %2, 8, 12;" : "=r"(o[2]) : "r"(x), "r"(y));
  asm("prmt.b32 %0, %1, %2, 0x3715;" : "=r"(o[3]) : "r"(x), "r"(y));
  asm("lop3.b32 %0, %1, %2, %3, 0x96;" : "=r"(o[4]) : "r"(x), "r"(y), "r"(0x0f0f1234));
  asm("lop3.b32 %0, %1, %2, %3, 0xca;" : "=r"(o[5]) : "r"(x), "r"(y), "r"(0x55550fff));
  asm("shf.r.wrap.b32 %0, %1, %2, %3;" : "=r"(o[6]) : "r"(x), "r"(y), "r"(y & 63));
  asm("mad.hi.u32 %0, %1, %2, 9;" : "=r"(o[7]) : "r"(x), "r"(y));
  asm("sad.u32 %0, %1, %2, 1;" : "=r"(o[8]) : "r"(x), "r"(y));
  asm("bfind.u32 %0, %1;" : "=r"(o[9]) : "r"(x));
  asm("{ .reg .pred p; setp.lt.u32 p, %1, %2; selp.b32 %0, 17, 4, p; }" : "=r"(o[10]) : "r"(x), "r"(y));
  asm("{ .reg .u32 t; add.cc.u32 t, %1, %2; addc.u32 %0, 0, 0; }" : "=r"(o[11]) : "r"(x), "r"(y));
  asm("mul24.lo.u32 %0, %1, %2;" : "=r"(o[12]) : "r"(x), "r"(y));
  asm("mov.u32 %0, %%laneid;" : "=r"(o[13]));
}

extern "C" __global__ void wide_integers(const uint64_t* a, const uint64_t* b, uint64_t* out, int n) {
  int i = INDEX;
  if (i >= n) return;
  uint64_t x = a[i], y = b[i] | 1, *o = out + i * 8;
  o[0] = __umul64hi(x, y);
  o[1] = x / y;
  o[2] = x % (y >> 40 | 1);
  o[3] = (uint64_t)((int64_t)x / (int64_t)(y >> 20 | 1));
  o[4] = x << (y & 63) | x >> (-y & 63);
  o[5] = __popcll(x) * 1000 + __clzll(x) * 10 + (__ffsll((long long)y) & 7);
  o[6] = __brevll(x);
  unsigned __int128 p = (unsigned __int128)x * y + 12345;
  o[7] = (uint64_t)(p >> 37);
}

extern "C" __global__ void greatest_common_divisor(const uint64_t* a, const uint64_t* b, uint64_t* out, int n) {
  int i = INDEX;
  if (i >= n) return;
  uint64_t x = a[i], y = b[i];
  while (y) {
    uint64_t r = x % y;
    x = y, y = r;
  }
  out[i] = x;
}

extern "C" __global__ void crc32_bytes(const unsigned char* text, const int* start, unsigned* out, int n) {
  int i = INDEX;
  if (i >= n) return;
  unsigned crc = 0xffffffffu;
  for (int k = start[i]; k < start[i + 1]; k++) {
    crc ^= text[k];
    for (int b = 0; b < 8; b++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
  }
  out[i] = ~crc;
}

extern "C" __global__ void mandelbrot(unsigned short* out, int width, int height, int limit) {
  int px = INDEX, py = blockIdx.y * blockDim.y + threadIdx.y;
  if (px >= width || py >= height) return;
  double cx = -2.0 + px * (3.0 / width), cy = -1.25 + py * (2.5 / height), x = 0, y = 0;
  int k = 0;
  for (; k < limit && __dadd_rn(__dmul_rn(x, x), __dmul_rn(y, y)) <= 4; k++) {
    double t = __dadd_rn(__dsub_rn(__dmul_rn(x, x), __dmul_rn(y, y)), cx);
    y = __dadd_rn(__dmul_rn(2, __dmul_rn(x, y)), cy);
    x = t;
  }
  out[py * width + px] = (unsigned short)k;
}

union Word { float f; unsigned u; unsigned char bytes[4]; unsigned short halves[2]; };

extern "C" __global__ void unions(const float* x, unsigned* out, int n) {
  int i = INDEX;
  if (i >= n) return;
  Word w;
  w.f = x[i];
  unsigned char low = w.bytes[0];
  w.bytes[0] = w.bytes[3];
  w.bytes[3] = low;
  w.halves[1] = (unsigned short)(w.halves[1] * 3);
  out[i] = w.u;
}

extern "C" __global__ void half_masks(const half2* a, const half2* b, unsigned* out, int n) {
  int i = INDEX;
  if (i >= n) return;
  out[i * 3] = __hgt2_mask(a[i], b[i]);
  half2 flags = __hle2(a[i], b[i]);
  out[i * 3 + 1] = *reinterpret_cast<unsigned*>(&flags);
  out[i * 3 + 2] = __hbeq2(a[i], a[i]) + 2 * __hblt2(a[i], b[i]) + 4 * __hisnan(__low2half(a[i]));
}

extern "C" __global__ void simd_in_a_word(const unsigned* a, const unsigned* b, unsigned* out, int n) {
  int i = INDEX;
  if (i >= n) return;
  unsigned x = a[i], y = b[i], *o = out + i * 6;
  o[0] = __vadd4(x, y), o[1] = __vabsdiffu4(x, y), o[2] = __vmaxs2(x, y), o[3] = __vcmpgtu4(x, y);
  o[4] = __vsadu4(x, y), o[5] = __vavgu4(x, y);
}

extern "C" __global__ void sieve(unsigned* bits, int n) {
  extern __shared__ unsigned composite[];
  for (int i = threadIdx.x; i < (n + 31) / 32; i += blockDim.x) composite[i] = 0;
  __syncthreads();
  for (int p = 2; p * p < n; p++) {
    bool prime = !(composite[p / 32] >> p % 32 & 1);
    __syncthreads();
    if (prime)
      for (int m = p * p + p * threadIdx.x; m < n; m += p * blockDim.x) atomicOr(&composite[m / 32], 1u << m % 32);
    __syncthreads();
  }
  for (int i = threadIdx.x; i < (n + 31) / 32; i += blockDim.x) bits[i] = ~composite[i];
}

extern "C" __global__ void rounding_modes(const float* a, const float* b, float* out, const double* d, double* wide, int n) {
  int i = INDEX;
  if (i >= n) return;
  float *o = out + i * 8, x = a[i], y = b[i];
  o[0] = __fadd_rd(x, y), o[1] = __fadd_ru(x, y), o[2] = __fmul_rz(x, y), o[3] = __fdiv_rn(x, y);
  o[4] = __fsqrt_rn(fabsf(x)), o[5] = truncf(x * 10), o[6] = ceilf(x * 10) + floorf(y * 10), o[7] = __double2float_rz(d[i]);
  wide[i] = fma(d[i], d[i], -__dmul_rn(d[i], d[i]));
}
