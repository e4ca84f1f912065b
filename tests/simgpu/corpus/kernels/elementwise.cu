// One output for each element: activations, packed halves, vectors, images, complex numbers.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#define INDEX (blockIdx.x * blockDim.x + threadIdx.x)

extern "C" __global__ void relu(const float* x, float* y, int n) {
  int i = INDEX;
  if (i < n) y[i] = fmaxf(x[i], 0.f);
}

extern "C" __global__ void add_packs(const float* a, const float* b, float* c, int n) {
  int i = 4 * INDEX;
  if (i + 3 < n) {
    float4 u = *reinterpret_cast<const float4*>(a + i), v = *reinterpret_cast<const float4*>(b + i);
    *reinterpret_cast<float4*>(c + i) = make_float4(u.x + v.x, u.y + v.y, u.z + v.z, u.w + v.w);
  } else {
    for (; i < n; i++) c[i] = a[i] + b[i];
  }
}

extern "C" __global__ void gelu_tanh(const float* x, float* y, int n) {
  for (int i = INDEX; i < n; i += gridDim.x * blockDim.x) {
    float v = x[i];
    y[i] = 0.5f * v * (1.f + tanhf(0.7978845608f * (v + 0.044715f * v * v * v)));
  }
}

extern "C" __global__ void gelu_erf(const float* __restrict__ x, float* __restrict__ y, int n) {
  int i = INDEX;
  if (i < n) y[i] = x[i] * normcdff(x[i]) * 0.5f + x[i] * 0.25f * (1.f + erff(x[i] * 0.70710678f));
}

extern "C" __global__ void swish(const float* x, float* y, int n, float beta) {
  int i = INDEX;
  if (i < n) y[i] = __fdividef(x[i], 1.f + __expf(-beta * x[i]));
}

extern "C" __global__ void sigmoid_pairs(const half2* x, half2* y, int pairs) {
  int i = INDEX;
  if (i >= pairs) return;
  half2 one = __float2half2_rn(1.f);
  y[i] = h2rcp(__hadd2(one, h2exp(__hneg2(x[i]))));
}

extern "C" __global__ void elu(const float* x, float* y, int n, float alpha) {
  int i = INDEX;
  if (i < n) y[i] = x[i] > 0 ? x[i] : alpha * expm1f(x[i]);
}

extern "C" __global__ void hardswish_half(const half* x, half* y, int n) {
  int i = INDEX;
  if (i >= n) return;
  half v = x[i], three = __float2half(3.f), six = __float2half(6.f);
  y[i] = v * __hmin(__hmax(v + three, __float2half(0.f)), six) / six;
}

extern "C" __global__ void add_bf16(const __nv_bfloat162* a, const __nv_bfloat162* b, __nv_bfloat162* c, int pairs) {
  int i = INDEX;
  if (i < pairs) c[i] = __hadd2(a[i], b[i]);
}

// Eight halves in one 128-bit load and store.
extern "C" __global__ void scale_eight_halves(const half* x, half* y, float scale, int n) {
  int i = 8 * INDEX;
  if (i >= n) return;
  half2 pack[4];
  *reinterpret_cast<float4*>(pack) = *reinterpret_cast<const float4*>(x + i);
#pragma unroll
  for (int k = 0; k < 4; k++) {
    float2 wide = __half22float2(pack[k]);
    pack[k] = __floats2half2_rn(wide.x * scale, wide.y * scale);
  }
  *reinterpret_cast<float4*>(y + i) = *reinterpret_cast<float4*>(pack);
}

extern "C" __global__ void mish(const float* x, float* y, int n) {
  int i = INDEX;
  if (i < n) y[i] = x[i] * tanhf(x[i] > 20.f ? x[i] : log1pf(expf(x[i])));
}

extern "C" __global__ void saxpy(float a, const float* x, float* y, int n) {
  for (int i = INDEX; i < n; i += gridDim.x * blockDim.x) y[i] = fmaf(a, x[i], y[i]);
}

extern "C" __global__ void complex_multiply(const float2* a, const float2* b, float2* c, int n) {
  int i = INDEX;
  if (i >= n) return;
  float2 u = a[i], v = b[i];
  c[i] = make_float2(u.x * v.x - u.y * v.y, u.x * v.y + u.y * v.x);
}

__device__ float3 cross(float3 a, float3 b) {
  return make_float3(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x);
}

// v' = v + 2w(q x v) + 2 q x (q x v) for unit quaternions (q, w).
extern "C" __global__ void quaternion_rotate(const float4* q, const float3* v, float3* out, int n) {
  int i = INDEX;
  if (i >= n) return;
  float3 axis = make_float3(q[i].x, q[i].y, q[i].z), p = v[i];
  float3 t = cross(axis, p);
  t = make_float3(2 * t.x, 2 * t.y, 2 * t.z);
  float3 u = cross(axis, t);
  out[i] = make_float3(p.x + q[i].w * t.x + u.x, p.y + q[i].w * t.y + u.y, p.z + q[i].w * t.z + u.z);
}

extern "C" __global__ void gray_pixels(const uchar4* rgba, unsigned char* gray, int width, int height) {
  int x = INDEX, y = blockIdx.y * blockDim.y + threadIdx.y;
  if (x >= width || y >= height) return;
  uchar4 p = rgba[y * width + x];
  gray[y * width + x] = (unsigned char)((p.x * 77 + p.y * 150 + p.z * 29 + 128) >> 8);
}

extern "C" __global__ void math_double(const double* x, double* y, int n) {
  int i = INDEX;
  if (i < n) y[i] = exp(-x[i] * x[i]) * sin(x[i]) + sqrt(fabs(x[i])) / (1 + log(1 + x[i] * x[i])) + pow(fabs(x[i]), 1.5);
}

extern "C" __global__ void math_single(const float* x, float* y, int n) {
  int i = INDEX;
  if (i >= n) return;
  float v = x[i];
  y[i] = sinf(v) + cosf(3 * v) * atan2f(v, 2.f) + cbrtf(v) + rsqrtf(1 + v * v) + hypotf(v, 3.f) + powf(fabsf(v), 0.3f) +
         fmodf(v, 0.7f) + log10f(1 + fabsf(v)) + exp2f(v) + floorf(v) + rintf(v) + acosf(v * 0.1f);
}

extern "C" __global__ void quantize_bytes(const float* x, signed char* q, float scale, int n) {
  int i = INDEX;
  if (i < n) q[i] = (signed char)max(-127, min(127, __float2int_rn(x[i] / scale)));
}

extern "C" __global__ void swiglu(const __nv_bfloat16* gate, const __nv_bfloat16* up, __nv_bfloat16* out, int n) {
  int i = INDEX;
  if (i >= n) return;
  float g = __bfloat162float(gate[i]);
  out[i] = __float2bfloat16(g / (1.f + expf(-g)) * __bfloat162float(up[i]));
}

extern "C" __global__ void half_bits(const unsigned short* x, float* wide, unsigned short* back, int n) {
  int i = INDEX;
  if (i >= n) return;
  wide[i] = __half2float(__ushort_as_half(x[i]));
  back[i] = __half_as_ushort(__float2half_rz(wide[i] * 1.0009f));
}
