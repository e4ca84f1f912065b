// Prefix sums, sorting, selection, compaction, searching.
#define FULL 0xffffffffu

extern "C" __global__ void scan_hillis_steele(const int* x, int* y, int n) {
  extern __shared__ int buffer[];
  int t = threadIdx.x, in = 0;
  buffer[t] = t < n ? x[t] : 0;
  __syncthreads();
  for (int o = 1; o < blockDim.x; o *= 2, in ^= 1) {
    int* from = buffer + in * blockDim.x;
    int* to = buffer + (in ^ 1) * blockDim.x;
    to[t] = t >= o ? from[t] + from[t - o] : from[t];
    __syncthreads();
  }
  if (t < n) y[t] = buffer[in * blockDim.x + t];
}

#define SPREAD(i) ((i) + ((i) >> 5))

extern "C" __global__ void scan_blelloch(const float* x, float* y, int n) {
  __shared__ float tree[256 + 8];
  int t = threadIdx.x, step = 1;
  tree[SPREAD(2 * t)] = 2 * t < n ? x[2 * t] : 0;
  tree[SPREAD(2 * t + 1)] = 2 * t + 1 < n ? x[2 * t + 1] : 0;
  for (int d = 128; d > 0; d >>= 1, step *= 2) {
    __syncthreads();
    if (t < d) tree[SPREAD(step * (2 * t + 2) - 1)] += tree[SPREAD(step * (2 * t + 1) - 1)];
  }
  if (t == 0) tree[SPREAD(255)] = 0;
  for (int d = 1; d < 256; d *= 2) {
    step >>= 1;
    __syncthreads();
    if (t < d) {
      int a = SPREAD(step * (2 * t + 1) - 1), b = SPREAD(step * (2 * t + 2) - 1);
      float left = tree[a];
      tree[a] = tree[b];
      tree[b] += left;
    }
  }
  __syncthreads();
  if (2 * t < n) y[2 * t] = tree[SPREAD(2 * t)];
  if (2 * t + 1 < n) y[2 * t + 1] = tree[SPREAD(2 * t + 1)];
}

__device__ int warp_scan(int v) {
  int lane = threadIdx.x & 31;
  for (int o = 1; o < 32; o *= 2) {
    int other = __shfl_up_sync(FULL, v, o);
    if (lane >= o) v += other;
  }
  return v;
}

__device__ int block_scan(int v, int* total) {
  __shared__ int sums[32];
  int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  v = warp_scan(v);
  __syncthreads();
  if (lane == 31) sums[warp] = v;
  __syncthreads();
  if (warp == 0) sums[lane] = warp_scan(lane < blockDim.x / 32 ? sums[lane] : 0);
  __syncthreads();
  *total = sums[31];
  return v + (warp ? sums[warp - 1] : 0);
}

extern "C" __global__ void scan_warps(const int* x, int* y, int n) {
  int carry = 0;
  for (int base = 0; base < n; base += blockDim.x) {
    int i = base + threadIdx.x, total, v = block_scan(i < n ? x[i] : 0, &total);
    if (i < n) y[i] = v + carry;
    carry += total;
  }
}

// One pass: each block publishes its sum, then looks back over the blocks before it until one knows its prefix.
struct __align__(8) Status { int flag, value; };

extern "C" __global__ void scan_look_back(const int* x, int* y, unsigned long long* status, unsigned* ticket, int n) {
  __shared__ int tile, prefix;
  if (threadIdx.x == 0) tile = atomicAdd(ticket, 1u);
  __syncthreads();
  int i = tile * blockDim.x + threadIdx.x, total, v = block_scan(i < n ? x[i] : 0, &total);
  if (threadIdx.x == 0) {
    volatile unsigned long long* board = status;
    board[tile] = (unsigned long long)(tile == 0 ? 2 : 1) << 32 | (unsigned)total;
    int sum = 0;
    for (int back = tile - 1; back >= 0;) {
      unsigned long long word = board[back];
      if (word >> 32 == 0) continue;
      sum += (int)word;
      if (word >> 32 == 2) break;
      back--;
    }
    if (tile > 0) {
      __threadfence();
      board[tile] = 2ull << 32 | (unsigned)(sum + total);
    }
    prefix = sum;
  }
  __syncthreads();
  if (i < n) y[i] = v + prefix;
}

extern "C" __global__ void segmented_scan(const int* head, const float* x, float* y, int n) {
  int lane = threadIdx.x, flag = 0;
  float carry = 0;
  for (int base = 0; base < n; base += 32) {
    int i = base + lane;
    flag = i < n ? head[i] : 1;
    float v = i < n ? x[i] : 0;
    for (int o = 1; o < 32; o *= 2) {
      float other = __shfl_up_sync(FULL, v, o);
      int seen = __shfl_up_sync(FULL, flag, o);
      if (lane >= o) {
        if (!flag) v += other;
        flag |= seen;
      }
    }
    if (!flag) v += carry;
    carry = __shfl_sync(FULL, v, 31);
    if (i < n) y[i] = v;
  }
}

extern "C" __global__ void bitonic_sort(unsigned* x, int n) {
  __shared__ unsigned key[512];
  for (int i = threadIdx.x; i < 512; i += blockDim.x) key[i] = i < n ? x[i] : 0xffffffffu;
  for (int size = 2; size <= 512; size *= 2)
    for (int stride = size / 2; stride; stride /= 2) {
      __syncthreads();
      int i = 2 * threadIdx.x - (threadIdx.x & (stride - 1));
      unsigned a = key[i], b = key[i + stride];
      if ((a > b) == ((i & size) == 0)) key[i] = b, key[i + stride] = a;
    }
  __syncthreads();
  for (int i = threadIdx.x; i < n; i += blockDim.x) x[i] = key[i];
}

// 32 keys for each warp, sorted by exchanges between lanes.
extern "C" __global__ void bitonic_warp(float* x) {
  int i = blockIdx.x * blockDim.x + threadIdx.x, lane = threadIdx.x & 31;
  float v = x[i];
  for (int size = 2; size <= 32; size *= 2)
    for (int stride = size / 2; stride; stride /= 2) {
      float other = __shfl_xor_sync(FULL, v, stride);
      bool low = !(lane & stride), up = !(lane & size);
      v = low == up ? fminf(v, other) : fmaxf(v, other);
    }
  x[i] = v;
}

extern "C" __global__ void odd_even_sort(short* x, int n) {
  for (int round = 0; round < n; round++) {
    int i = 2 * threadIdx.x + (round & 1);
    if (i + 1 < n && x[i] > x[i + 1]) {
      short swap = x[i];
      x[i] = x[i + 1], x[i + 1] = swap;
    }
    __syncthreads();
  }
}

// Four stable passes of four bits within a block: ranks from ballots.
extern "C" __global__ void radix_sort_16_bits(unsigned short* x, int n) {
  __shared__ unsigned short key[256];
  __shared__ int count[16][9];
  int t = threadIdx.x, lane = t & 31, warp = t >> 5;
  key[t] = t < n ? x[t] : 0xffff;
  __syncthreads();
  for (int shift = 0; shift < 16; shift += 4) {
    unsigned short own = key[t];
    unsigned digit = own >> shift & 15, peers = FULL;
#pragma unroll
    for (int bit = 0; bit < 4; bit++) {
      unsigned votes = __ballot_sync(FULL, digit >> bit & 1);
      peers &= digit >> bit & 1 ? votes : ~votes;
    }
    if (lane < 16) count[lane][warp + 1] = 0;
    __syncwarp();
    int rank = __popc(peers & ((1u << lane) - 1));
    if (rank == 0) count[digit][warp + 1] = __popc(peers);
    __syncthreads();
    if (t == 0)
      for (int d = 0, running = 0; d < 16; d++)
        for (int w = 0; w < 8; w++) {
          int here = count[d][w + 1];
          count[d][w] = running;
          running += here;
        }
    __syncthreads();
    key[count[digit][warp] + rank] = own;
    __syncthreads();
  }
  if (t < n) x[t] = key[t];
}

// The K largest of a row: each lane keeps a sorted list of its own, then the warp takes the best head K times.
template <int K>
__device__ void top_k_row(const float* x, float* values, int* places, int width) {
  float best[K];
  int at[K], head = 0;
  for (int k = 0; k < K; k++) best[k] = -INFINITY, at[k] = -1;
  for (int i = threadIdx.x; i < width; i += 32) {
    float v = x[i];
    if (v <= best[K - 1]) continue;
    int k = K - 1;
    while (k > 0 && best[k - 1] < v) best[k] = best[k - 1], at[k] = at[k - 1], k--;
    best[k] = v, at[k] = i;
  }
  for (int k = 0; k < K; k++) {
    float v = head < K ? best[head] : -INFINITY;
    int lane = threadIdx.x;
    for (int o = 16; o; o >>= 1) {
      float other = __shfl_xor_sync(FULL, v, o);
      int from = __shfl_xor_sync(FULL, lane, o);
      if (other > v || (other == v && from < lane)) v = other, lane = from;
    }
    if (lane == threadIdx.x) values[k] = v, places[k] = at[head++];
  }
}

extern "C" __global__ void top_k(const float* x, float* values, int* places, int width) {
  top_k_row<5>(x + blockIdx.x * width, values + blockIdx.x * 5, places + blockIdx.x * 5, width);
}

extern "C" __global__ void compact_stable(const int* x, int* y, int* count, int n) {
  int carry = 0;
  for (int base = 0; base < n; base += blockDim.x) {
    int i = base + threadIdx.x, v = i < n ? x[i] : 0, keep = i < n && v % 3 == 0, total;
    int at = block_scan(keep, &total) - keep + carry;
    if (keep) y[at] = v;
    carry += total;
  }
  if (threadIdx.x == 0) *count = carry;
}

extern "C" __global__ void upper_bound(const long long* sorted, const long long* queries, int* out, int n, int m) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= m) return;
  int low = 0, high = n;
  while (low < high) {
    int middle = (low + high) / 2;
    if (sorted[middle] <= queries[i]) low = middle + 1; else high = middle;
  }
  out[i] = low;
}

// Each thread finds where its diagonal cuts the merge path, then merges eight elements.
extern "C" __global__ void merge_path(const int* a, const int* b, int* out, int na, int nb) {
  int begin = (blockIdx.x * blockDim.x + threadIdx.x) * 8;
  if (begin >= na + nb) return;
  int low = max(0, begin - nb), high = min(begin, na);
  while (low < high) {
    int middle = (low + high) / 2;
    if (a[middle] <= b[begin - 1 - middle]) low = middle + 1; else high = middle;
  }
  int i = low, j = begin - low;
  for (int k = begin; k < min(begin + 8, na + nb); k++) out[k] = j >= nb || (i < na && a[i] <= b[j]) ? a[i++] : b[j++];
}

extern "C" __global__ void insertion_sort_rows(int* x, int width, int rows) {
  int r = blockIdx.x * blockDim.x + threadIdx.x, own[24];
  if (r >= rows) return;
  for (int i = 0; i < width; i++) {
    int v = x[r * width + i], j = i;
    for (; j > 0 && own[j - 1] > v; j--) own[j] = own[j - 1];
    own[j] = v;
  }
  for (int i = 0; i < width; i++) x[r * width + i] = own[i];
}
