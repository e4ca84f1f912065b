// Histograms, atomics, flags, named barriers, warp votes.
#include <cooperative_groups.h>
#include <cuda_fp16.h>

namespace cg = cooperative_groups;
#define INDEX (blockIdx.x * blockDim.x + threadIdx.x)

extern "C" __global__ void histogram_shared(const unsigned char* x, unsigned* bins, int n) {
  __shared__ unsigned own[256];
  for (int b = threadIdx.x; b < 256; b += blockDim.x) own[b] = 0;
  __syncthreads();
  for (int i = INDEX; i < n; i += gridDim.x * blockDim.x) atomicAdd(&own[x[i]], 1u);
  __syncthreads();
  for (int b = threadIdx.x; b < 256; b += blockDim.x)
    if (own[b]) atomicAdd(&bins[b], own[b]);
}

extern "C" __global__ void histogram_packs(const int4* x, int* bins, int packs) {
  int i = INDEX;
  if (i >= packs) return;
  int4 v = x[i];
  atomicAdd(&bins[v.x], 1), atomicAdd(&bins[v.y], 1), atomicAdd(&bins[v.z], 1), atomicAdd(&bins[v.w], 1);
}

// Lanes with the same key elect one of them to add for all.
extern "C" __global__ void histogram_match(const unsigned* key, unsigned* bins, int n) {
  int i = INDEX;
  unsigned there = __ballot_sync(~0u, i < n);
  if (i >= n) return;
  unsigned peers = __match_any_sync(there, key[i]);
  if (threadIdx.x % 32 == __ffs(peers) - 1) atomicAdd(&bins[key[i]], (unsigned)__popc(peers));
}

__device__ float atomic_max(float* place, float value) {
  int old = __float_as_int(*place), seen;
  do {
    seen = old;
    if (__int_as_float(seen) >= value) break;
    old = atomicCAS((int*)place, seen, __float_as_int(value));
  } while (old != seen);
  return __int_as_float(old);
}

extern "C" __global__ void max_by_exchange(const float* x, float* best, int n) {
  int i = INDEX;
  if (i < n) atomic_max(best, x[i]);
}

__device__ double add_by_exchange(double* place, double value) {
  unsigned long long *bits = (unsigned long long*)place, old = *bits, seen;
  do {
    seen = old;
    old = atomicCAS(bits, seen, (unsigned long long)__double_as_longlong(value + __longlong_as_double(seen)));
  } while (seen != old);
  return __longlong_as_double(old);
}

extern "C" __global__ void sum_by_exchange(const double* x, double* sums, int n) {
  for (int i = INDEX; i < n; i += gridDim.x * blockDim.x) add_by_exchange(&sums[i % 3], x[i]);
}

// Keep the positive elements, in any order; one atomic for each warp.
extern "C" __global__ void append_positive(const int* x, int* kept, int* count, int n) {
  int i = INDEX, v = i < n ? x[i] : 0;
  if (v > 0) {
    cg::coalesced_group group = cg::coalesced_threads();
    int base = 0;
    if (group.thread_rank() == 0) base = atomicAdd(count, (int)group.size());
    kept[group.shfl(base, 0) + group.thread_rank()] = v;
  }
}

extern "C" __global__ void atomic_families(const int* x, int* out, unsigned* wrap, unsigned long long* wide, int n) {
  int i = INDEX;
  if (i >= n) return;
  atomicAnd(&out[0], x[i] | 0xff);
  atomicOr(&out[1], x[i] & 0xf0f0);
  atomicXor(&out[2], x[i]);
  atomicMin(&out[3], x[i]);
  atomicMax(&out[4], x[i]);
  atomicSub(&out[5], x[i]);
  atomicInc(&wrap[0], 6);
  atomicDec(&wrap[1], 10);
  atomicAdd(&wide[0], (unsigned long long)(unsigned)x[i] << 20);
  atomicMin(&wide[1], (unsigned long long)(unsigned)x[i] * 3);
  atomicXor(&wide[2], (unsigned long long)(unsigned)x[i] << 32);
  if (atomicExch(&out[6], 7) == -1) atomicAdd(&out[7], 1);
}

extern "C" __global__ void half_atomics(half2* pair, half* one, float* f, int n) {
  int i = INDEX;
  if (i >= n) return;
  atomicAdd(pair, __floats2half2_rn(1.f, -2.f));
  atomicAdd(one + 1, __float2half(1.f));
  atomicAdd_block(f, 0.5f);
}

// Each block takes a lock and does something that is not atomic.
extern "C" __global__ void locked_sections(int* lock, volatile int* value) {
  if (threadIdx.x == 0) {
    while (atomicCAS(lock, 0, 1) != 0) __nanosleep(20);
    __threadfence();
    int v = *value;
    *value = v * 3 % 1009 + 1;
    __threadfence();
    atomicExch(lock, 0);
  }
}

// Warps hand a token on through a volatile flag in shared memory.
extern "C" __global__ void pass_the_token(int* order) {
  __shared__ volatile int turn;
  __shared__ int log[32];
  int warp = threadIdx.x / 32, warps = blockDim.x / 32;
  if (threadIdx.x == 0) turn = 0;
  __syncthreads();
  if (threadIdx.x % 32 == 0) {
    while (turn != (warps - 1 - warp)) {
    }
    log[turn] = warp;
    __threadfence_block();
    turn = turn + 1;
  }
  __syncthreads();
  if (threadIdx.x < warps) order[threadIdx.x] = log[threadIdx.x];
}

// Warps 0 and 1 produce what 2 and 3 consume, over two named barriers.
extern "C" __global__ void named_barriers(const int* x, int* y, int rounds) {
  __shared__ int slot[64];
  int t = threadIdx.x % 64;
  if (threadIdx.x < 64) {
    for (int r = 0; r < rounds; r++) {
      asm volatile("bar.sync 2, 128;" ::: "memory");
      slot[t] = x[r * 64 + t] * 2;
      asm volatile("bar.arrive 1, 128;" ::: "memory");
    }
  } else {
    for (int r = 0; r < rounds; r++) {
      asm volatile("bar.arrive 2, 128;" ::: "memory");
      asm volatile("bar.sync 1, 128;" ::: "memory");
      y[r * 64 + t] = slot[63 - t] + 1;
    }
  }
}

// Most threads leave before the first barrier.
extern "C" __global__ void early_exit(int* out, int stay) {
  __shared__ int total;
  if (threadIdx.x == 0) total = 0;
  __syncthreads();
  if (threadIdx.x >= stay) return;
  atomicAdd(&total, threadIdx.x);
  __syncthreads();
  out[threadIdx.x] = total;
}

extern "C" __global__ void barrier_votes(const int* x, int* out) {
  int v = x[threadIdx.x];
  int positive = __syncthreads_count(v > 0), any = __syncthreads_or(v == 77), all = __syncthreads_and(v > -1000);
  if (threadIdx.x == 0) out[0] = positive, out[1] = any != 0, out[2] = all != 0;
}

extern "C" __global__ void warp_votes(const int* x, unsigned* out, int n) {
  int i = INDEX;
  bool odd = i < n && x[i] & 1;
  unsigned ballot = __ballot_sync(~0u, odd);
  int all = __all_sync(~0u, odd || i % 3), any = __any_sync(~0u, odd && i % 5 == 0), uni = __uni_sync(~0u, threadIdx.x / 32 == 0);
  unsigned active = 0;
  if (odd) active = __activemask();
  out[i] = ballot + (all << 1) + (any << 2) + (uni << 3) + __popc(active) + __popc(ballot & ((1u << threadIdx.x % 32) - 1));
}

extern "C" __global__ void tiles_vote(const int* x, int* out) {
  auto tile = cg::tiled_partition<8>(cg::this_thread_block());
  int i = INDEX, v = x[i];
  int votes = tile.ballot(v > 0), any = tile.any(v > 900), all = tile.all(v < 500);
  int sum = v;
  for (int o = 4; o; o >>= 1) sum += tile.shfl_xor(sum, o);
  unsigned same = tile.match_any(v & 3);
  out[i] = votes + 1000 * any + 10000 * all + 100000 * (sum & 15) + (same << 21);
}

extern "C" __global__ void match_all(const int* x, int* out) {
  int equal;
  unsigned mask = __match_all_sync(~0u, x[INDEX], &equal);
  out[INDEX] = equal ? (int)mask : -7;
}

__device__ unsigned ticket;
__device__ int shared_queue[512];

// Work is taken from a counter in device memory until there is none.
extern "C" __global__ void work_queue(const int* x, int* y, int n) {
  __shared__ int item;
  while (true) {
    if (threadIdx.x == 0) item = atomicAdd(&ticket, 1u);
    __syncthreads();
    int now = item;
    __syncthreads();
    if (now >= n) break;
    if (threadIdx.x == 0) shared_queue[now % 512] = now;
    if (threadIdx.x < 4) y[now * 4 + threadIdx.x] = x[now] * (threadIdx.x + 1);
  }
}

// Union-find over edges with compare-and-swap; roots end as the least vertex of a component.
__device__ int find_root(volatile int* parent, int v) {
  while (parent[v] != v) v = parent[v];
  return v;
}

__device__ void unite(int* parent, int a, int b) {
  while (true) {
    a = find_root(parent, a), b = find_root(parent, b);
    if (a == b) return;
    int high = max(a, b), low = min(a, b);
    if (atomicCAS(&parent[high], high, low) == high) return;
  }
}

extern "C" __global__ void connect(int* parent, const int2* edges, int* label, int n, int vertices) {
  for (int i = threadIdx.x; i < n; i += blockDim.x) unite(parent, edges[i].x, edges[i].y);
  __syncthreads();
  for (int v = threadIdx.x; v < vertices; v += blockDim.x) label[v] = find_root(parent, v);
}
