#define INFINITY __int_as_float(0x7f800000)  // NVRTC has no <math.h>

__device__ float warp_max(float v) {
  for (int offset = 16; offset > 0; offset /= 2) v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, offset));
  return v;
}
