// European options by the Black-Scholes formula, with a polynomial for the normal distribution.
#include "check.h"

struct Prices {
  float call, put;
};

__host__ __device__ inline float normal(float d) {
  const float k = 1.0f / (1.0f + 0.2316419f * fabsf(d));
  const float tail = 0.39894228040143267794f * expf(-0.5f * d * d) *
                     (k * (0.31938153f + k * (-0.356563782f + k * (1.781477937f + k * (-1.821255978f + k * 1.330274429f)))));
  return d > 0 ? 1.0f - tail : tail;
}

__host__ __device__ inline Prices price(float stock, float strike, float years) {
  constexpr float rate = 0.02f, volatility = 0.3f;
  const float deviation = volatility * sqrtf(years);
  const float d1 = (logf(stock / strike) + (rate + 0.5f * volatility * volatility) * years) / deviation;
  const float d2 = d1 - deviation, discounted = strike * expf(-rate * years);
  return {stock * normal(d1) - discounted * normal(d2), discounted * normal(-d2) - stock * normal(-d1)};
}

__global__ void price_all(const float* stock, const float* strike, const float* years, float* call, float* put, int n) {
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
    const Prices prices = price(stock[i], strike[i], years[i]);
    call[i] = prices.call;
    put[i] = prices.put;
  }
}

int main() {
  constexpr int n = 10007;
  const auto stock = random_floats(n, 1, 5, 30), strike = random_floats(n, 2, 1, 100), years = random_floats(n, 3, 0.25f, 10);
  std::vector<float> call(n), put(n);
  for (int i = 0; i < n; ++i) {
    const Prices prices = price(stock[i], strike[i], years[i]);
    call[i] = prices.call, put[i] = prices.put;
  }
  const OnCard<float> s(stock), k(strike), t(years), c(n), p(n);
  price_all<<<20, 128>>>(s, k, t, c, p, n);
  expect("call", c.read(), call, 2e-5);
  expect("put", p.read(), put, 2e-5);
}
