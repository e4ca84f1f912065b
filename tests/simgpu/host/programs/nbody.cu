// All-pairs gravity: bodies pass through a shared tile as float4; two steps with a leapfrog update.
#include "check.h"

constexpr int kTile = 64;
constexpr float kSoftening = 0.01f, kStep = 0.01f;

__global__ void accelerate(const float4* bodies, float4* velocities, int n) {
  __shared__ float4 tile[kTile];
  const int i = blockIdx.x * kTile + threadIdx.x;
  const float4 own = i < n ? bodies[i] : make_float4(0, 0, 0, 0);
  float3 pull = make_float3(0, 0, 0);
  for (int start = 0; start < n; start += kTile) {
    tile[threadIdx.x] = start + threadIdx.x < n ? bodies[start + threadIdx.x] : make_float4(0, 0, 0, 0);
    __syncthreads();
#pragma unroll 8
    for (int j = 0; j < kTile; ++j) {
      const float3 d = make_float3(tile[j].x - own.x, tile[j].y - own.y, tile[j].z - own.z);
      const float inverse = rsqrtf(d.x * d.x + d.y * d.y + d.z * d.z + kSoftening);
      const float scale = tile[j].w * inverse * inverse * inverse;
      pull.x += d.x * scale, pull.y += d.y * scale, pull.z += d.z * scale;
    }
    __syncthreads();
  }
  if (i >= n) return;
  velocities[i].x += kStep * pull.x, velocities[i].y += kStep * pull.y, velocities[i].z += kStep * pull.z;
}

__global__ void move(float4* bodies, const float4* velocities, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  bodies[i].x += kStep * velocities[i].x, bodies[i].y += kStep * velocities[i].y, bodies[i].z += kStep * velocities[i].z;
}

void step(std::vector<float>& bodies, std::vector<float>& velocities, int n) {
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j) {
      float d[3], squared = kSoftening;
      for (int axis = 0; axis < 3; ++axis) d[axis] = bodies[4 * j + axis] - bodies[4 * i + axis];
      for (float one : d) squared += one * one;
      for (int axis = 0; axis < 3; ++axis)
        velocities[4 * i + axis] += kStep * bodies[4 * j + 3] * d[axis] / (squared * std::sqrt(squared));
    }
  for (int i = 0; i < n; ++i)
    for (int axis = 0; axis < 3; ++axis) bodies[4 * i + axis] += kStep * velocities[4 * i + axis];
}

int main() {
  constexpr int n = 200;
  std::vector<float> bodies = random_floats(4 * n, 11), velocities(4 * n);
  for (int i = 0; i < n; ++i) bodies[4 * i + 3] = 1.0f / n;
  const OnCard<float> b(bodies), v(velocities);
  for (int round = 0; round < 2; ++round) {
    accelerate<<<(n + kTile - 1) / kTile, kTile>>>(reinterpret_cast<float4*>(b.data), reinterpret_cast<float4*>(v.data), n);
    move<<<2, 128>>>(reinterpret_cast<float4*>(b.data), reinterpret_cast<float4*>(v.data), n);
    step(bodies, velocities, n);
  }
  expect("positions", b.read(), bodies, 1e-5);
  expect("velocities", v.read(), velocities, 1e-4);
}
