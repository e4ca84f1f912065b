// The kernels of a language model: attention, embeddings, losses, optimiser, quantised weights.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#define FULL 0xffffffffu
#define INDEX (blockIdx.x * blockDim.x + threadIdx.x)

// One block for a head's tile of 16 queries; keys and values go by in tiles of 16 with a running softmax.
template <bool CAUSAL>
__device__ void flash(const float* q, const float* k, const float* v, float* out, float* log_sum, int length, int width) {
  extern __shared__ float pool[];
  float *qs = pool, *ks = qs + 16 * width, *vs = ks + 16 * (width + 1), *s = vs + 16 * width;
  int head = blockIdx.y * length * width, row = threadIdx.y, lane = threadIdx.x, at = blockIdx.x * 16 + row;
  float scale = rsqrtf((float)width), m = -INFINITY, l = 0, acc[4] = {};
  for (int d = lane; d < width; d += 16) qs[row * width + d] = at < length ? q[head + at * width + d] * scale : 0;
  for (int base = 0; base < length; base += 16) {
    if (CAUSAL && base > blockIdx.x * 16 + 15) break;
    __syncthreads();
    for (int d = lane; d < width; d += 16) {
      bool there = base + row < length;
      ks[row * (width + 1) + d] = there ? k[head + (base + row) * width + d] : 0;
      vs[row * width + d] = there ? v[head + (base + row) * width + d] : 0;
    }
    __syncthreads();
    float dot = 0;
    for (int d = 0; d < width; d++) dot = fmaf(qs[row * width + d], ks[lane * (width + 1) + d], dot);
    if (base + lane >= length || (CAUSAL && base + lane > at)) dot = -INFINITY;
    float high = dot;
    for (int o = 8; o; o >>= 1) high = fmaxf(high, __shfl_xor_sync(FULL, high, o, 16));
    float now = fmaxf(m, high), p = __expf(dot - now), sum = p, shrink = __expf(m - now);
    for (int o = 8; o; o >>= 1) sum += __shfl_xor_sync(FULL, sum, o, 16);
    l = l * shrink + sum;
    m = now;
    s[row * 16 + lane] = p;
    __syncwarp();
#pragma unroll
    for (int e = 0; e < 4; e++) {
      int d = lane + 16 * e;
      if (d >= width) break;
      float a = acc[e] * shrink;
      for (int j = 0; j < 16; j++) a = fmaf(s[row * 16 + j], vs[j * width + d], a);
      acc[e] = a;
    }
  }
  if (at >= length) return;
#pragma unroll
  for (int e = 0; e < 4; e++)
    if (lane + 16 * e < width) out[head + at * width + lane + 16 * e] = acc[e] / l;
  if (lane == 0) log_sum[blockIdx.y * length + at] = m + logf(l);
}

extern "C" __global__ void flash_attention(const float* q, const float* k, const float* v, float* o, float* l, int n, int d) {
  flash<false>(q, k, v, o, l, n, d);
}

extern "C" __global__ void flash_attention_causal(const float* q, const float* k, const float* v, float* o, float* l, int n, int d) {
  flash<true>(q, k, v, o, l, n, d);
}

extern "C" __global__ void rope(const float* x, float* y, int heads, int half_width, float base) {
  int i = INDEX, position = blockIdx.y;
  if (i >= heads * half_width) return;
  int head = i / half_width, d = i % half_width, at = (position * heads + head) * 2 * half_width + d;
  float angle = position * powf(base, -(float)d / half_width), s, c;
  sincosf(angle, &s, &c);
  y[at] = x[at] * c - x[at + half_width] * s;
  y[at + half_width] = x[at] * s + x[at + half_width] * c;
}

extern "C" __global__ void embed(const int* token, const __nv_bfloat16* table, const float* position, float* out, int width, int length) {
  int row = blockIdx.x, t = token[row];
  for (int d = threadIdx.x; d < width; d += blockDim.x)
    out[row * width + d] = __bfloat162float(table[(long long)t * width + d]) + position[row % length * width + d];
}

extern "C" __global__ void embed_backward(const int* token, const float* gradient, float* table, int width) {
  for (int d = threadIdx.x; d < width; d += blockDim.x)
    atomicAdd(&table[token[blockIdx.x] * width + d], gradient[blockIdx.x * width + d]);
}

// Loss and gradient in one pass over the logits kept in shared memory; -1 marks rows to leave out.
extern "C" __global__ void cross_entropy(const float* logits, const int* target, float* loss, float* gradient, int classes) {
  extern __shared__ float row[];
  __shared__ float each[4];
  int t = target[blockIdx.x], base = blockIdx.x * classes;
  if (t < 0) {
    for (int i = threadIdx.x; i < classes; i += blockDim.x) gradient[base + i] = 0;
    if (threadIdx.x == 0) loss[blockIdx.x] = 0;
    return;
  }
  float m = -INFINITY, s = 0;
  for (int i = threadIdx.x; i < classes; i += blockDim.x) m = fmaxf(m, row[i] = logits[base + i]);
  for (int o = 16; o; o >>= 1) m = fmaxf(m, __shfl_xor_sync(FULL, m, o));
  if (threadIdx.x % 32 == 0) each[threadIdx.x / 32] = m;
  __syncthreads();
  m = fmaxf(fmaxf(each[0], each[1]), fmaxf(each[2], each[3]));
  __syncthreads();
  for (int i = threadIdx.x; i < classes; i += blockDim.x) s += expf(row[i] - m);
  for (int o = 16; o; o >>= 1) s += __shfl_xor_sync(FULL, s, o);
  if (threadIdx.x % 32 == 0) each[threadIdx.x / 32] = s;
  __syncthreads();
  s = each[0] + each[1] + each[2] + each[3];
  if (threadIdx.x == 0) loss[blockIdx.x] = logf(s) + m - row[t];
  for (int i = threadIdx.x; i < classes; i += blockDim.x) gradient[base + i] = expf(row[i] - m) / s - (i == t);
}

__device__ uint4 philox(uint4 counter, uint2 key) {
#pragma unroll
  for (int r = 0; r < 10; r++) {
    unsigned h0 = __umulhi(0xD2511F53u, counter.x), l0 = 0xD2511F53u * counter.x;
    unsigned h1 = __umulhi(0xCD9E8D57u, counter.z), l1 = 0xCD9E8D57u * counter.z;
    counter = make_uint4(h1 ^ counter.y ^ key.x, l1, h0 ^ counter.w ^ key.y, l0);
    key.x += 0x9E3779B9u, key.y += 0xBB67AE85u;
  }
  return counter;
}

extern "C" __global__ void dropout(const float* x, float* y, unsigned char* mask, int n, float keep, unsigned long long seed) {
  int i = INDEX;
  if (i * 4 >= n) return;
  uint4 r = philox(make_uint4(i, 0, 0, 0), make_uint2((unsigned)seed, (unsigned)(seed >> 32)));
  unsigned each[4] = {r.x, r.y, r.z, r.w};
  for (int k = 0; k < 4 && i * 4 + k < n; k++) {
    bool kept = __uint2float_rz(each[k] >> 8) * 5.9604645e-8f < keep;
    y[i * 4 + k] = kept ? x[i * 4 + k] / keep : 0;
    mask[i * 4 + k] = kept;
  }
}

struct Adam { float rate, beta1, beta2, epsilon, decay, correction1, correction2; };

extern "C" __global__ void adamw(float* parameter, __nv_bfloat16* copy, float* m, float* v, const float* gradient, Adam a, long n) {
  long i = INDEX;
  if (i >= n) return;
  float g = gradient[i], first = a.beta1 * m[i] + (1 - a.beta1) * g, second = a.beta2 * v[i] + (1 - a.beta2) * g * g;
  m[i] = first, v[i] = second;
  float p = parameter[i];
  p -= a.rate * (first / a.correction1 / (sqrtf(second / a.correction2) + a.epsilon) + a.decay * p);
  parameter[i] = p;
  copy[i] = __float2bfloat16_rn(p);
}

extern "C" __global__ void append_to_cache(const half* k, half* cache, const int* length, int heads, int width, int capacity) {
  int b = blockIdx.y, h = blockIdx.x, at = length[b];
  if (at >= capacity) return;
  for (int d = threadIdx.x; d < width; d += blockDim.x)
    cache[((b * heads + h) * (size_t)capacity + at) * width + d] = k[(b * heads + h) * width + d];
}

// Blocks of 32 weights: a half for the scale, then 16 bytes of two 4-bit numbers each.
struct Packed { half scale; unsigned char pairs[16]; };

extern "C" __global__ void unpack_4_bit(const Packed* blocks, float* out, int count) {
  int b = blockIdx.x * blockDim.y + threadIdx.y, t = threadIdx.x;
  if (b >= count) return;
  float scale = __half2float(blocks[b].scale);
  int pair = blocks[b].pairs[t];
  out[b * 32 + t] = ((pair & 15) - 8) * scale;
  out[b * 32 + t + 16] = ((pair >> 4) - 8) * scale;
}

extern "C" __global__ void product_4_bit(const Packed* w, const float* x, float* y, int per_row) {
  const Packed* row = w + blockIdx.x * per_row;
  float v = 0;
  for (int b = threadIdx.x / 16; b < per_row; b += 2) {
    int t = threadIdx.x % 16, pair = row[b].pairs[t];
    v += __half2float(row[b].scale) * (((pair & 15) - 8) * x[b * 32 + t] + ((pair >> 4) - 8) * x[b * 32 + t + 16]);
  }
  for (int o = 16; o; o >>= 1) v += __shfl_down_sync(FULL, v, o);
  if (threadIdx.x == 0) y[blockIdx.x] = v;
}

extern "C" __global__ void quantize_rows(const float* x, char4* q, float* scale, int packs) {
  const float4* row = reinterpret_cast<const float4*>(x) + blockIdx.x * packs;
  float m = 0;
  for (int i = threadIdx.x; i < packs; i += 32) {
    float4 v = row[i];
    m = fmaxf(m, fmaxf(fmaxf(fabsf(v.x), fabsf(v.y)), fmaxf(fabsf(v.z), fabsf(v.w))));
  }
  for (int o = 16; o; o >>= 1) m = fmaxf(m, __shfl_xor_sync(FULL, m, o));
  float step = m / 127.f;
  if (threadIdx.x == 0) scale[blockIdx.x] = step;
  for (int i = threadIdx.x; i < packs; i += 32) {
    float4 v = row[i];
    q[blockIdx.x * packs + i] = make_char4(__float2int_rn(v.x / step), __float2int_rn(v.y / step), __float2int_rn(v.z / step),
                                           __float2int_rn(v.w / step));
  }
}

// Sampling from a distribution: the first place where the running sum passes the drawn number.
extern "C" __global__ void sample(const float* probability, const float* drawn, int* token, int classes) {
  float carry = 0;
  int found = classes - 1;
  for (int base = 0; base < classes; base += 32) {
    int i = base + threadIdx.x;
    float v = i < classes ? probability[blockIdx.x * classes + i] : 0;
    for (int o = 1; o < 32; o *= 2) {
      float other = __shfl_up_sync(FULL, v, o);
      if (threadIdx.x >= o) v += other;
    }
    unsigned past = __ballot_sync(FULL, carry + v > drawn[blockIdx.x]);
    if (past) {
      found = base + __ffs(past) - 1;
      break;
    }
    carry += __shfl_sync(FULL, v, 31);
  }
  if (threadIdx.x == 0) token[blockIdx.x] = min(found, classes - 1);
}

extern "C" __global__ void permute_heads(const float* x, float* q, float* k, float* v, int length, int heads, int width) {
  int i = INDEX;
  if (i >= gridDim.y * length * heads * width) return;
  int d = i % width, t = i / width % length, h = i / (width * length) % heads, b = blockIdx.y;
  if (i >= length * heads * width) return;
  int from = ((b * length + t) * 3 * heads + h) * width + d, to = b * heads * length * width + i, step = heads * width;
  q[to] = x[from], k[to] = __ldcg(x + from + step), v[to] = __ldcs(x + from + 2 * step);
}

extern "C" __global__ void attention_bias(half* scores, int heads, int length) {
  int c = INDEX, r = blockIdx.y, h = blockIdx.z;
  if (c >= length) return;
  half* at = &scores[(h * length + r) * length + c];
  float slope = exp2f(-8.f * (h + 1) / heads);
  *at = c > r ? __ushort_as_half(0xfc00) : __hadd(*at, __float2half(-slope * (r - c)));
}
