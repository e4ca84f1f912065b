// Does what its argument's first element says: one build for every way to misbehave.
#include <torch/extension.h>

#include <csignal>
#include <cstring>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

__global__ void copy(const float* x, float* y, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = x[i];
}

__global__ void beyond(const float* x, float* y, int n) {
  y[n + threadIdx.x] = x[0];  // named in the diagnostics
}

__global__ void forever(volatile float* y) {
  y[0] = 0.f;
  while (y[0] != 12345.f) y[1] = y[0];
}

torch::Tensor forward(torch::Tensor x) {
  const int n = static_cast<int>(x.numel());
  // Memory of the simulated card is memory of this process.
  const int mode = static_cast<int>(x.data_ptr<float>()[0]);
  auto y = torch::empty_like(x);
  const auto run = [&] { copy<<<(n + 127) / 128, 128>>>(x.data_ptr<float>(), y.data_ptr<float>(), n); };
  switch (mode) {
    case 1:
      for (volatile int i = 0;; i = i + 1) {
      }
    case 2:
      raise(SIGSEGV);
      break;
    case 3: {
      std::vector<char*> hoard;
      for (;;) {
        hoard.push_back(new char[64 << 20]);
        std::memset(hoard.back(), 1, 64 << 20);
      }
    }
    case 4: {
      // The argument's length marks whose they are.
      std::string seconds = "601." + std::to_string(x.numel());
      for (int i = 0; i < 20; ++i) {
        if (fork() == 0) {
          setsid();
          execlp("sleep", "sleep", seconds.c_str(), nullptr);
          _exit(1);
        }
      }
      sleep(600);
      break;
    }
    case 5:
      TORCH_CHECK(x.dim() == 7, "seven axes wanted, not ", x.sizes());
      break;
    case 6:
      beyond<<<1, 32>>>(x.data_ptr<float>(), y.data_ptr<float>(), n);
      cudaGetLastError();  // ignored, as careless host code does
      break;
    case 7:
      forever<<<1, 32>>>(y.data_ptr<float>());
      break;
    case 8:
      _exit(0);
    case 9:
      copy<<<1, 2048>>>(x.data_ptr<float>(), y.data_ptr<float>(), n);  // too many threads, and nobody looks
      break;
    case 10:
      throw 42;
    case 11:
      return torch::zeros({4});  // on the CPU
    case 12:
      return torch::empty({1l << 40}, x.options());
    case 13:
      x.zero_();
      return y.zero_();
    case 14:
      return torch::full({1}, reinterpret_cast<int64_t>(x.data_ptr()), x.options().dtype(torch::kInt64));
    case 15:
      for (int i = 0; i < 100000; ++i) printf("noise on standard output %d\n", i);
      fflush(stdout);
      run();
      break;
    case 16:
      copy<<<1, 32>>>(x.data_ptr<float>(), y.data_ptr<float>(), n);  // leaves the tail as it was
      break;
    case 17:
      return torch::Tensor();
    default:
      run();
  }
  return y;
}
