// Matrix products on tensor cores: wmma, and mma.sync fed by ldmatrix or by hand.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <mma.h>

using namespace nvcuda;

extern "C" __global__ void wmma_half(const half* a, const half* b, float* c, int m, int n, int k) {
  int warp = threadIdx.x / 32, row = blockIdx.y * 16, col = (blockIdx.x * 2 + warp) * 16;
  wmma::fragment<wmma::matrix_a, 16, 16, 16, half, wmma::row_major> fa;
  wmma::fragment<wmma::matrix_b, 16, 16, 16, half, wmma::row_major> fb;
  wmma::fragment<wmma::accumulator, 16, 16, 16, float> fc;
  wmma::fill_fragment(fc, 0.f);
  for (int i = 0; i < k; i += 16) {
    wmma::load_matrix_sync(fa, a + row * k + i, k);
    wmma::load_matrix_sync(fb, b + i * n + col, n);
    wmma::mma_sync(fc, fa, fb, fc);
  }
  for (int i = 0; i < fc.num_elements; i++) fc.x[i] *= 0.5f;
  wmma::store_matrix_sync(c + row * n + col, fc, n, wmma::mem_row_major);
}

// B is column major, C is half; tiles go through shared memory.
extern "C" __global__ void wmma_half_shared(const half* a, const half* bt, half* c, int n, int k) {
  __shared__ __align__(32) half as[16 * 24], bs[16 * 24];
  int row = blockIdx.y * 16, col = blockIdx.x * 16;
  wmma::fragment<wmma::accumulator, 16, 16, 16, half> fc;
  wmma::fill_fragment(fc, __float2half(1.f));
  for (int base = 0; base < k; base += 16) {
    for (int e = threadIdx.x; e < 256; e += 32) {
      as[e / 16 * 24 + e % 16] = a[(row + e / 16) * k + base + e % 16];
      bs[e / 16 * 24 + e % 16] = bt[(col + e / 16) * k + base + e % 16];
    }
    __syncthreads();
    wmma::fragment<wmma::matrix_a, 16, 16, 16, half, wmma::row_major> fa;
    wmma::fragment<wmma::matrix_b, 16, 16, 16, half, wmma::col_major> fb;
    wmma::load_matrix_sync(fa, as, 24);
    wmma::load_matrix_sync(fb, bs, 24);
    wmma::mma_sync(fc, fa, fb, fc);
    __syncthreads();
  }
  wmma::store_matrix_sync(c + row * n + col, fc, n, wmma::mem_row_major);
}

extern "C" __global__ void wmma_bytes(const signed char* a, const signed char* b, int* c, int k) {
  wmma::fragment<wmma::matrix_a, 32, 8, 16, signed char, wmma::row_major> fa;
  wmma::fragment<wmma::matrix_b, 32, 8, 16, signed char, wmma::col_major> fb;
  wmma::fragment<wmma::accumulator, 32, 8, 16, int> fc;
  wmma::fill_fragment(fc, 0);
  for (int i = 0; i < k; i += 16) {
    wmma::load_matrix_sync(fa, a + i, k);
    wmma::load_matrix_sync(fb, b + i, k);
    wmma::mma_sync(fc, fa, fb, fc);
  }
  wmma::store_matrix_sync(c, fc, 32, wmma::mem_col_major);
}

#if __CUDA_ARCH__ >= 800
__device__ unsigned shared_address(const void* p) { return (unsigned)__cvta_generic_to_shared(p); }

__device__ void mma_half(float d[4], const unsigned a[4], const unsigned b[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Four warps compute 32 x 32: cp.async into swizzled tiles, ldmatrix out of them, transposed for B.
extern "C" __global__ void mma_ldmatrix(const half* a, const half* b, float* c, int n, int k) {
  __shared__ __align__(128) half as[2][32 * 32], bs[2][32 * 32];
  int t = threadIdx.x, lane = t % 32, warp = t / 32, wr = warp / 2 * 16, wc = warp % 2 * 16;
  int row = blockIdx.y * 32, col = blockIdx.x * 32;
  float acc[2][4] = {};
  auto place = [](int r, int chunk) { return r * 32 + (chunk ^ (r >> 1 & 3)) * 8; };
  auto fetch = [&](int stage, int base) {
    int r = t / 4, chunk = t % 4;
    const half *pa = a + (row + r) * k + base + chunk * 8, *pb = b + (base + r) * n + col + chunk * 8;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(&as[stage][place(r, chunk)])), "l"(pa));
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16;" ::"r"(shared_address(&bs[stage][place(r, chunk)])), "l"(pb));
    asm volatile("cp.async.commit_group;");
  };
  fetch(0, 0);
  for (int base = 0, stage = 0; base < k; base += 32, stage ^= 1) {
    if (base + 32 < k) {
      fetch(stage ^ 1, base + 32);
      asm volatile("cp.async.wait_group 1;" ::: "memory");
    } else {
      asm volatile("cp.async.wait_all;" ::: "memory");
    }
    __syncthreads();
#pragma unroll
    for (int step = 0; step < 32; step += 16) {
      unsigned fa[4], fb[4];
      asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                   : "=r"(fa[0]), "=r"(fa[1]), "=r"(fa[2]), "=r"(fa[3])
                   : "r"(shared_address(&as[stage][place(wr + lane % 16, step / 8 + lane / 16)])) : "memory");
      asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                   : "=r"(fb[0]), "=r"(fb[1]), "=r"(fb[2]), "=r"(fb[3])
                   : "r"(shared_address(&bs[stage][place(step + lane % 16, wc / 8 + lane / 16)])) : "memory");
      mma_half(acc[0], fa, fb);
      mma_half(acc[1], fa, fb + 2);
    }
    __syncthreads();
  }
  for (int j = 0; j < 2; j++) {
    float* out = c + (row + wr + lane / 4) * n + col + wc + j * 8 + lane % 4 * 2;
    *reinterpret_cast<float2*>(out) = make_float2(acc[j][0], acc[j][1]);
    *reinterpret_cast<float2*>(out + 8 * n) = make_float2(acc[j][2], acc[j][3]);
  }
}

extern "C" __global__ void mma_bf16(const __nv_bfloat16* a, const __nv_bfloat16* bt, float* c, int k) {
  int lane = threadIdx.x, g = lane / 4, q = lane % 4;
  float d[4] = {};
  for (int base = 0; base < k; base += 16) {
    const unsigned *r0 = (const unsigned*)(a + g * k + base), *r8 = (const unsigned*)(a + (g + 8) * k + base);
    const unsigned* rb = (const unsigned*)(bt + g * k + base);
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(r0[q]), "r"(r8[q]), "r"(r0[q + 4]), "r"(r8[q + 4]), "r"(rb[q]), "r"(rb[q + 4]));
  }
  c[g * 8 + q * 2] = d[0], c[g * 8 + q * 2 + 1] = d[1], c[(g + 8) * 8 + q * 2] = d[2], c[(g + 8) * 8 + q * 2 + 1] = d[3];
}

extern "C" __global__ void mma_tf32(const float* a, const float* bt, float* c, int k) {
  int lane = threadIdx.x, g = lane / 4, q = lane % 4;
  float d[4] = {};
  auto narrow = [](float v) { unsigned r; asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(v)); return r; };
  for (int i = q; i < k; i += 8) {
    unsigned a0 = narrow(a[g * k + i]), a1 = narrow(a[(g + 8) * k + i]), a2 = narrow(a[g * k + i + 4]);
    unsigned a3 = narrow(a[(g + 8) * k + i + 4]), b0 = narrow(bt[g * k + i]), b1 = narrow(bt[g * k + i + 4]);
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
  }
  c[g * 8 + q * 2] = d[0], c[g * 8 + q * 2 + 1] = d[1], c[(g + 8) * 8 + q * 2] = d[2], c[(g + 8) * 8 + q * 2 + 1] = d[3];
}

extern "C" __global__ void mma_bytes(const int* a, const int* bt, int* c, int words) {
  int lane = threadIdx.x, g = lane / 4, q = lane % 4, d[4] = {};
  for (int i = q; i < words; i += 8)
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
                 : "r"(a[g * words + i]), "r"(a[(g + 8) * words + i]), "r"(a[g * words + i + 4]), "r"(a[(g + 8) * words + i + 4]),
                   "r"(bt[g * words + i]), "r"(bt[g * words + i + 4]));
  c[g * 8 + q * 2] = d[0], c[g * 8 + q * 2 + 1] = d[1], c[(g + 8) * 8 + q * 2] = d[2], c[(g + 8) * 8 + q * 2 + 1] = d[3];
}

extern "C" __global__ void wmma_double(const double* a, const double* b, double* c, int k) {
  wmma::fragment<wmma::matrix_a, 8, 8, 4, double, wmma::row_major> fa;
  wmma::fragment<wmma::matrix_b, 8, 8, 4, double, wmma::row_major> fb;
  wmma::fragment<wmma::accumulator, 8, 8, 4, double> fc;
  wmma::load_matrix_sync(fc, c, 8, wmma::mem_row_major);
  for (int i = 0; i < k; i += 4) {
    wmma::load_matrix_sync(fa, a + i, k);
    wmma::load_matrix_sync(fb, b + i * 8, 8);
    wmma::mma_sync(fc, fa, fb, fc);
  }
  wmma::store_matrix_sync(c, fc, 8, wmma::mem_row_major);
}

extern "C" __global__ void wmma_tf32(const float* a, const float* b, float* c) {
  wmma::fragment<wmma::matrix_a, 16, 16, 8, wmma::precision::tf32, wmma::row_major> fa;
  wmma::fragment<wmma::matrix_b, 16, 16, 8, wmma::precision::tf32, wmma::col_major> fb;
  wmma::fragment<wmma::accumulator, 16, 16, 8, float> fc;
  wmma::fill_fragment(fc, 0.f);
  wmma::load_matrix_sync(fa, a, 8);
  wmma::load_matrix_sync(fb, b, 8);
  for (int i = 0; i < fa.num_elements; i++) fa.x[i] = wmma::__float_to_tf32(fa.x[i]);
  for (int i = 0; i < fb.num_elements; i++) fb.x[i] = wmma::__float_to_tf32(fb.x[i]);
  wmma::mma_sync(fc, fa, fb, fc);
  wmma::store_matrix_sync(c, fc, 16, wmma::mem_row_major);
}

extern "C" __global__ void wmma_bf16(const __nv_bfloat16* a, const __nv_bfloat16* b, float* c) {
  wmma::fragment<wmma::matrix_a, 8, 32, 16, __nv_bfloat16, wmma::col_major> fa;
  wmma::fragment<wmma::matrix_b, 8, 32, 16, __nv_bfloat16, wmma::row_major> fb;
  wmma::fragment<wmma::accumulator, 8, 32, 16, float> fc;
  wmma::fill_fragment(fc, 0.f);
  wmma::load_matrix_sync(fa, a, 8);
  wmma::load_matrix_sync(fb, b, 32);
  wmma::mma_sync(fc, fa, fb, fc);
  wmma::store_matrix_sync(c, fc, 32, wmma::mem_row_major);
}
#endif
