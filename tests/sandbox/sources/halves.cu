// Converts on the host: 16-bit patterns to float, floats to both 16-bit types.
#include <torch/extension.h>

std::tuple<torch::Tensor, torch::Tensor, torch::Tensor> forward(torch::Tensor patterns, torch::Tensor numbers) {
  auto widened = torch::empty(patterns.sizes(), numbers.options());
  auto halves = torch::empty(numbers.sizes(), numbers.options().dtype(torch::kHalf));
  auto brains = torch::empty(numbers.sizes(), numbers.options().dtype(torch::kBFloat16));
  // Memory of the simulated card is memory of this process.
  for (int64_t i = 0; i < patterns.numel(); ++i)
    widened.data_ptr<float>()[i] = static_cast<float>(patterns.data_ptr<at::Half>()[i]);
  for (int64_t i = 0; i < numbers.numel(); ++i) {
    halves.data_ptr<at::Half>()[i] = at::Half(numbers.data_ptr<float>()[i]);
    brains.data_ptr<at::BFloat16>()[i] = at::BFloat16(numbers.data_ptr<float>()[i]);
  }
  return {widened, halves, brains};
}
