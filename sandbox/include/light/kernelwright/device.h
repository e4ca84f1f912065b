// Names that ATen's device headers give to kernels.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <kernelwright/extension.h>

template <typename T>
__device__ __forceinline__ T WARP_SHFL(T value, int lane, int width = warpSize, unsigned mask = 0xffffffffu) {
  return __shfl_sync(mask, value, lane, width);
}
template <typename T>
__device__ __forceinline__ T WARP_SHFL_XOR(T value, int lanes, int width = warpSize, unsigned mask = 0xffffffffu) {
  return __shfl_xor_sync(mask, value, lanes, width);
}
template <typename T>
__device__ __forceinline__ T WARP_SHFL_UP(T value, unsigned delta, int width = warpSize, unsigned mask = 0xffffffffu) {
  return __shfl_up_sync(mask, value, delta, width);
}
template <typename T>
__device__ __forceinline__ T WARP_SHFL_DOWN(T value, unsigned delta, int width = warpSize,
                                            unsigned mask = 0xffffffffu) {
  return __shfl_down_sync(mask, value, delta, width);
}
__device__ __forceinline__ unsigned WARP_BALLOT(int predicate, unsigned mask = 0xffffffffu) {
  return __ballot_sync(mask, predicate);
}
__device__ __forceinline__ int WARP_ANY(int predicate, unsigned mask = 0xffffffffu) {
  return __any_sync(mask, predicate);
}
__device__ __forceinline__ void WARP_SYNC(unsigned mask = 0xffffffffu) { __syncwarp(mask); }
__device__ __forceinline__ unsigned ACTIVE_MASK() { return __activemask(); }
template <typename T>
__device__ __forceinline__ T doLdg(const T* pointer) {
  return __ldg(pointer);
}

template <typename T>
__device__ __forceinline__ T gpuAtomicAdd(T* address, T value) {
  return atomicAdd(address, value);
}
// Without native addition of the type (bfloat16 before sm_90), CUDA's own atomicAdd swaps and compares.
__device__ __forceinline__ c10::Half gpuAtomicAdd(c10::Half* address, c10::Half value) {
  return c10::Half(atomicAdd(reinterpret_cast<__half*>(address), static_cast<__half>(value)));
}
__device__ __forceinline__ c10::BFloat16 gpuAtomicAdd(c10::BFloat16* address, c10::BFloat16 value) {
  return c10::BFloat16(
      atomicAdd(reinterpret_cast<__nv_bfloat16*>(address), static_cast<__nv_bfloat16>(value)));
}
__device__ __forceinline__ int64_t gpuAtomicAdd(int64_t* address, int64_t value) {
  return static_cast<int64_t>(
      atomicAdd(reinterpret_cast<unsigned long long*>(address), static_cast<unsigned long long>(value)));
}
template <typename T>
__device__ __forceinline__ void gpuAtomicAddNoReturn(T* address, T value) {
  gpuAtomicAdd(address, value);
}

#define CUDA_KERNEL_LOOP_TYPE(i, n, index_type)                                              \
  for (int64_t i##_wide = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x,        \
               i##_step = static_cast<int64_t>(blockDim.x) * gridDim.x;                       \
       i##_wide < (n); i##_wide += i##_step)                                                  \
    if (const index_type i = static_cast<index_type>(i##_wide); true)
#define CUDA_KERNEL_LOOP(i, n) CUDA_KERNEL_LOOP_TYPE(i, n, int)

namespace at {
namespace cuda {
namespace detail {
constexpr int CUDA_NUM_THREADS = 1024;
inline int GET_BLOCKS(int64_t count, int64_t threads = CUDA_NUM_THREADS) {
  TORCH_CHECK(count > 0, "a launch needs at least one element, not ", count);
  return static_cast<int>((count - 1) / threads + 1);
}
}  // namespace detail
}  // namespace cuda
template <typename T>
KERNELWRIGHT_HD bool _isnan(T value) {
  return value != value;
}
}  // namespace at
