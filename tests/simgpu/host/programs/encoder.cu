// Token and position embeddings, forward, and backward by atomics since tokens repeat.
#include "check.h"

__global__ void forward(const int* tokens, const float* words, const float* places, float* out, int t, int c, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const int position = i / c, channel = i % c;
  out[i] = words[tokens[position] * c + channel] + places[position % t * c + channel];
}

__global__ void backward(const int* tokens, const float* dout, float* dwords, float* dplaces, int t, int c, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const int position = i / c, channel = i % c;
  atomicAdd(&dwords[tokens[position] * c + channel], dout[i]);
  atomicAdd(&dplaces[position % t * c + channel], dout[i]);
}

int main() {
  constexpr int batch = 4, t = 16, c = 48, vocabulary = 11, n = batch * t * c;
  std::vector<int> tokens(batch * t);
  for (int i = 0; i < batch * t; ++i) tokens[i] = i * i % vocabulary;
  const auto words = random_floats(vocabulary * c, 1), places = random_floats(t * c, 2), dout = random_floats(n, 3);
  std::vector<float> out(n), dwords(words.size()), dplaces(places.size());
  for (int i = 0; i < n; ++i) {
    const int word = tokens[i / c] * c + i % c, place = i / c % t * c + i % c;
    out[i] = words[word] + places[place];
    dwords[word] += dout[i], dplaces[place] += dout[i];
  }
  const OnCard<int> ids(tokens);
  const OnCard<float> w(words), p(places), g(dout), result(static_cast<size_t>(n));
  const OnCard<float> gw(std::vector<float>(words.size())), gp(std::vector<float>(places.size()));
  forward<<<(n + 255) / 256, 256>>>(ids, w, p, result, t, c, n);
  backward<<<(n + 255) / 256, 256>>>(ids, g, gw, gp, t, c, n);
  expect("forward", result.read(), out);
  expect("dwords", gw.read(), dwords, 1e-5);
  expect("dplaces", gp.read(), dplaces, 1e-5);
}
