// Causal attention of one head, forward and backward, in the plain way: scores, softmax, values; then their gradients.
#include "check.h"

constexpr int kTime = 40, kHead = 16;

__global__ void forward(const float* q, const float* k, const float* v, float* weights, float* out) {
  __shared__ float scores[kTime];
  const int t = blockIdx.x, lane = threadIdx.x;
  for (int s = lane; s <= t; s += 32) {
    float dot = 0;
    for (int d = 0; d < kHead; ++d) dot += q[t * kHead + d] * k[s * kHead + d];
    scores[s] = dot * rsqrtf(kHead);
  }
  __syncwarp();
  float largest = -INFINITY, sum = 0;
  for (int s = lane; s <= t; s += 32) largest = fmaxf(largest, scores[s]);
  for (int step = 16; step > 0; step /= 2) largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, step));
  for (int s = lane; s <= t; s += 32) sum += scores[s] = expf(scores[s] - largest);
  for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(~0u, sum, step);
  for (int s = lane; s < kTime; s += 32) weights[t * kTime + s] = s <= t ? scores[s] / sum : 0;
  __syncwarp();
  if (lane >= kHead) return;
  float mixed = 0;
  for (int s = 0; s <= t; ++s) mixed += scores[s] / sum * v[s * kHead + lane];
  out[t * kHead + lane] = mixed;
}

__global__ void backward(const float* q, const float* k, const float* v, const float* weights, const float* dout,
                         float* dq, float* dk, float* dv) {
  __shared__ float dweights[kTime];
  const int t = blockIdx.x, lane = threadIdx.x;
  float dot = 0;
  for (int s = lane; s <= t; s += 32) {
    float gradient = 0;
    for (int d = 0; d < kHead; ++d) {
      gradient += dout[t * kHead + d] * v[s * kHead + d];
      atomicAdd(&dv[s * kHead + d], weights[t * kTime + s] * dout[t * kHead + d]);
    }
    dweights[s] = gradient;
    dot += gradient * weights[t * kTime + s];
  }
  for (int step = 16; step > 0; step /= 2) dot += __shfl_xor_sync(~0u, dot, step);
  __syncwarp();
  if (lane >= kHead) return;
  float sum = 0;
  for (int s = 0; s <= t; ++s) {
    const float score = weights[t * kTime + s] * (dweights[s] - dot) * rsqrtf(kHead);
    sum += score * k[s * kHead + lane];
    atomicAdd(&dk[s * kHead + lane], score * q[t * kHead + lane]);
  }
  dq[t * kHead + lane] = sum;
}

int main() {
  constexpr int n = kTime * kHead;
  const auto q = random_floats(n, 1), k = random_floats(n, 2), v = random_floats(n, 3), dout = random_floats(n, 4);
  std::vector<float> out(n), dq(n), dk(n), dv(n);
  for (int t = 0; t < kTime; ++t) {
    double weights[kTime], dweights[kTime] = {}, sum = 0, dot = 0;
    for (int s = 0; s <= t; ++s) {
      double score = 0;
      for (int d = 0; d < kHead; ++d) score += q[t * kHead + d] * k[s * kHead + d];
      sum += weights[s] = std::exp(score / 4);
    }
    for (int s = 0; s <= t; ++s) {
      weights[s] /= sum;
      for (int d = 0; d < kHead; ++d) {
        out[t * kHead + d] += weights[s] * v[s * kHead + d];
        dv[s * kHead + d] += weights[s] * dout[t * kHead + d];
        dweights[s] += dout[t * kHead + d] * v[s * kHead + d];
      }
      dot += dweights[s] * weights[s];
    }
    for (int s = 0; s <= t; ++s)
      for (int d = 0; d < kHead; ++d) {
        dq[t * kHead + d] += weights[s] * (dweights[s] - dot) / 4 * k[s * kHead + d];
        dk[s * kHead + d] += weights[s] * (dweights[s] - dot) / 4 * q[t * kHead + d];
      }
  }
  const std::vector<float> zeros(n);
  const OnCard<float> dev_q(q), dev_k(k), dev_v(v), dev_dout(dout), weights(kTime * kTime), result(n), grad_q(n);
  const OnCard<float> grad_k(zeros), grad_v(zeros);
  forward<<<kTime, 32>>>(dev_q, dev_k, dev_v, weights, result);
  backward<<<kTime, 32>>>(dev_q, dev_k, dev_v, weights, dev_dout, grad_q, grad_k, grad_v);
  expect("out", result.read(), out, 1e-5);
  expect("dq", grad_q.read(), dq, 1e-5);
  expect("dk", grad_k.read(), dk, 1e-5);
  expect("dv", grad_v.read(), dv, 1e-5);
}
