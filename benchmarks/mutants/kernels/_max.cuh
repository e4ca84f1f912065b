#define INFINITY __int_as_float(0x7f800000)  // NVRTC has no <math.h>

__device__ float warp_max(float v) {
  for (int offset = 16; offset > 0; offset /= 2) v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, offset));
  return v;
}

// Maximum over the block; every thread gets it.
__device__ float block_max(float v) {
  __shared__ float partial[kThreads / 32];
  v = warp_max(v);
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = v;
  __syncthreads();
  float top = partial[0];
  for (int w = 1; w < kThreads / 32; ++w) top = fmaxf(top, partial[w]);
  __syncthreads();
  return top;
}
