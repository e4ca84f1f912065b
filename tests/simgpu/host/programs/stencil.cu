// Heat on a plate: two halves of the work in two streams that wait for each other by events; asynchronous copies.
#include "check.h"

__global__ void diffuse(const float* in, float* out, int width, int height, int first_row, int rows) {
  const int x = blockIdx.x * blockDim.x + threadIdx.x, y = first_row + blockIdx.y * blockDim.y + threadIdx.y;
  if (x >= width || y >= first_row + rows) return;
  const int i = y * width + x;
  const bool edge = x == 0 || y == 0 || x == width - 1 || y == height - 1;
  out[i] = edge ? in[i] : 0.25f * (in[i - 1] + in[i + 1] + in[i - width] + in[i + width]);
}

int main() {
  constexpr int width = 130, height = 64, rounds = 6, half = height / 2;
  constexpr size_t bytes = width * height * sizeof(float);
  float* host;
  CUDA_OK(cudaHostAlloc(reinterpret_cast<void**>(&host), bytes, cudaHostAllocDefault));
  std::vector<float> plate = random_floats(width * height, 23, 0, 100);
  std::copy(plate.begin(), plate.end(), host);
  float* buffers[2];
  cudaStream_t streams[2];
  cudaEvent_t done[2], copied;
  for (int i = 0; i < 2; ++i) {
    CUDA_OK(cudaMalloc(&buffers[i], bytes));
    CUDA_OK(cudaStreamCreateWithFlags(&streams[i], cudaStreamNonBlocking));
    CUDA_OK(cudaEventCreateWithFlags(&done[i], cudaEventDisableTiming));
  }
  CUDA_OK(cudaEventCreate(&copied));
  CUDA_OK(cudaMemcpyAsync(buffers[0], host, bytes, cudaMemcpyHostToDevice, streams[0]));
  CUDA_OK(cudaEventRecord(copied, streams[0]));
  CUDA_OK(cudaStreamWaitEvent(streams[1], copied, 0));
  for (int round = 0; round < rounds; ++round) {
    for (int part = 0; part < 2; ++part) {
      diffuse<<<dim3((width + 31) / 32, half / 8), dim3(32, 8), 0, streams[part]>>>(
          buffers[round % 2], buffers[(round + 1) % 2], width, height, part * half, half);
      CUDA_OK(cudaEventRecord(done[part], streams[part]));
    }
    for (int part = 0; part < 2; ++part) CUDA_OK(cudaStreamWaitEvent(streams[part], done[1 - part], 0));
  }
  CUDA_OK(cudaMemcpyAsync(host, buffers[rounds % 2], bytes, cudaMemcpyDeviceToHost, streams[0]));
  CUDA_OK(cudaStreamSynchronize(streams[0]));
  for (int round = 0; round < rounds; ++round) {
    std::vector<float> next = plate;
    for (int y = 1; y < height - 1; ++y)
      for (int x = 1; x < width - 1; ++x) {
        const int i = y * width + x;
        next[i] = 0.25f * (plate[i - 1] + plate[i + 1] + plate[i - width] + plate[i + width]);
      }
    plate = next;
  }
  expect("plate", std::vector<float>(host, host + width * height), plate, 1e-6);
}
