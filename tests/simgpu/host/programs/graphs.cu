// Graphs: one built node by node, launched, and launched again with other parameters; one captured from two streams.
#include "check.h"

__global__ void scale(float* data, float factor, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) data[i] *= factor;
}
__global__ void add(float* data, const float* other, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) data[i] += other[i];
}

constexpr int n = 500;
constexpr size_t kBytes = n * sizeof(float);

void count(void* calls) { ++*static_cast<int*>(calls); }

void explicit_graph(const std::vector<float>& host) {
  const OnCard<float> data(static_cast<size_t>(n)), zeros(static_cast<size_t>(n));
  std::vector<float> result(n);
  int size = n, calls = 0;
  float factor = 3, *data_pointer = data, *zeros_pointer = zeros;
  cudaGraph_t graph;
  CUDA_OK(cudaGraphCreate(&graph, 0));
  cudaGraphNode_t copy_in, clear, scaled, added, copy_out, counted;
  CUDA_OK(cudaGraphAddMemcpyNode1D(&copy_in, graph, nullptr, 0, data, host.data(), kBytes, cudaMemcpyHostToDevice));
  cudaMemsetParams fill = {};
  fill.dst = zeros_pointer, fill.elementSize = 4, fill.width = n, fill.height = 1, fill.value = 0x40000000;  // 2.0f
  CUDA_OK(cudaGraphAddMemsetNode(&clear, graph, nullptr, 0, &fill));
  void* scale_arguments[] = {&data_pointer, &factor, &size};
  cudaKernelNodeParams params = {};
  params.func = reinterpret_cast<void*>(scale), params.gridDim = dim3(4), params.blockDim = dim3(128);
  params.kernelParams = scale_arguments;
  CUDA_OK(cudaGraphAddKernelNode(&scaled, graph, &copy_in, 1, &params));
  void* add_arguments[] = {&data_pointer, &zeros_pointer, &size};
  cudaKernelNodeParams sum = params;
  sum.func = reinterpret_cast<void*>(add), sum.kernelParams = add_arguments;
  const cudaGraphNode_t both[] = {scaled, clear};
  CUDA_OK(cudaGraphAddKernelNode(&added, graph, both, 2, &sum));
  CUDA_OK(cudaGraphAddMemcpyNode1D(&copy_out, graph, &added, 1, result.data(), data, kBytes, cudaMemcpyDeviceToHost));
  const cudaHostNodeParams call = {count, &calls};
  CUDA_OK(cudaGraphAddHostNode(&counted, graph, &copy_out, 1, &call));
  size_t nodes = 0, roots = 0;
  CUDA_OK(cudaGraphGetNodes(graph, nullptr, &nodes));
  CUDA_OK(cudaGraphGetRootNodes(graph, nullptr, &roots));
  if (nodes != 6 || roots != 2) std::exit(3);
  cudaGraphExec_t executable;
  CUDA_OK(cudaGraphInstantiate(&executable, graph, 0));
  CUDA_OK(cudaGraphLaunch(executable, nullptr));
  CUDA_OK(cudaDeviceSynchronize());
  std::vector<float> wanted(n);
  for (int i = 0; i < n; ++i) wanted[i] = 3 * host[i] + 2;
  expect("explicit graph", result, wanted, 1e-6);
  factor = -1;
  CUDA_OK(cudaGraphExecKernelNodeSetParams(executable, scaled, &params));
  CUDA_OK(cudaGraphLaunch(executable, nullptr));
  CUDA_OK(cudaDeviceSynchronize());
  for (int i = 0; i < n; ++i) wanted[i] = 2 - host[i];
  expect("changed graph", result, wanted, 1e-6);
  if (calls != 2) std::exit(4);
  CUDA_OK(cudaGraphExecDestroy(executable));
  CUDA_OK(cudaGraphDestroy(graph));
}

void captured_graph(const std::vector<float>& host) {
  const OnCard<float> data(host), other(host);
  cudaStream_t first, second;
  cudaEvent_t fork, join;
  CUDA_OK(cudaStreamCreate(&first));
  CUDA_OK(cudaStreamCreate(&second));
  CUDA_OK(cudaEventCreateWithFlags(&fork, cudaEventDisableTiming));
  CUDA_OK(cudaEventCreateWithFlags(&join, cudaEventDisableTiming));
  cudaGraph_t graph;
  CUDA_OK(cudaStreamBeginCapture(first, cudaStreamCaptureModeGlobal));
  CUDA_OK(cudaEventRecord(fork, first));
  CUDA_OK(cudaStreamWaitEvent(second, fork, 0));
  scale<<<4, 128, 0, first>>>(data, 2, n);
  scale<<<4, 128, 0, second>>>(other, 5, n);
  CUDA_OK(cudaEventRecord(join, second));
  CUDA_OK(cudaStreamWaitEvent(first, join, 0));
  add<<<4, 128, 0, first>>>(data, other, n);
  cudaStreamCaptureStatus status;
  CUDA_OK(cudaStreamIsCapturing(second, &status));
  if (status != cudaStreamCaptureStatusActive) std::exit(5);
  CUDA_OK(cudaStreamEndCapture(first, &graph));
  expect("nothing ran yet", data.read(), host);
  cudaGraphExec_t executable;
  CUDA_OK(cudaGraphInstantiate(&executable, graph, 0));
  CUDA_OK(cudaGraphLaunch(executable, first));
  CUDA_OK(cudaStreamSynchronize(first));
  std::vector<float> wanted(n);
  for (int i = 0; i < n; ++i) wanted[i] = 7 * host[i];
  expect("captured graph", data.read(), wanted, 1e-6);
  CUDA_OK(cudaStreamBeginCapture(first, cudaStreamCaptureModeGlobal));
  if (cudaStreamSynchronize(first) != cudaErrorStreamCaptureUnsupported) std::exit(6);
  if (cudaStreamEndCapture(first, &graph) != cudaErrorStreamCaptureInvalidated) std::exit(7);
}

int main() {
  const std::vector<float> host = random_floats(n, 17);
  explicit_graph(host);
  captured_graph(host);
}
