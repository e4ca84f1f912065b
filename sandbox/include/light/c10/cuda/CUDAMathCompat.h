// Mathematical functions under one name for float and double, in kernels.
#pragma once

#include <kernelwright/extension.h>

namespace c10::cuda::compat {
#define KERNELWRIGHT_COMPAT(name)                                            \
  __host__ __device__ inline float name(float x) { return ::name##f(x); }    \
  __host__ __device__ inline double name(double x) { return ::name(x); }
KERNELWRIGHT_COMPAT(ceil)
KERNELWRIGHT_COMPAT(exp)
KERNELWRIGHT_COMPAT(floor)
KERNELWRIGHT_COMPAT(log)
KERNELWRIGHT_COMPAT(log1p)
KERNELWRIGHT_COMPAT(rsqrt)
KERNELWRIGHT_COMPAT(sqrt)
KERNELWRIGHT_COMPAT(tan)
KERNELWRIGHT_COMPAT(tanh)
KERNELWRIGHT_COMPAT(normcdf)
#undef KERNELWRIGHT_COMPAT
#define KERNELWRIGHT_COMPAT(name)                                                                \
  __host__ __device__ inline float name(float x, float y) { return ::name##f(x, y); }            \
  __host__ __device__ inline double name(double x, double y) { return ::name(x, y); }
KERNELWRIGHT_COMPAT(copysign)
KERNELWRIGHT_COMPAT(pow)
#undef KERNELWRIGHT_COMPAT
__host__ __device__ inline float abs(float x) { return ::fabsf(x); }
__host__ __device__ inline double abs(double x) { return ::fabs(x); }
__host__ __device__ inline float max(float x, float y) { return ::fmaxf(x, y); }
__host__ __device__ inline double max(double x, double y) { return ::fmax(x, y); }
__host__ __device__ inline float min(float x, float y) { return ::fminf(x, y); }
__host__ __device__ inline double min(double x, double y) { return ::fmin(x, y); }
__host__ __device__ inline void sincos(float x, float* sine, float* cosine) { ::sincosf(x, sine, cosine); }
__host__ __device__ inline void sincos(double x, double* sine, double* cosine) { ::sincos(x, sine, cosine); }
}  // namespace c10::cuda::compat
