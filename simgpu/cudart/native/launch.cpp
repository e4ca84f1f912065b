// Launches: the calls that nvcc's code makes for `<<<>>>`, and the explicit ones.
#include <cstring>

#include "work.h"

using namespace standin;

namespace {

struct Configuration {
  dim3 grid;
  dim3 block;
  std::size_t shared;
  cudaStream_t stream;
};

thread_local std::vector<Configuration> configurations;

int launch(const HostTable& host, const void* function, dim3 grid, dim3 block, void** arguments, std::size_t shared,
           cudaStream_t stream, bool cooperative) {
  const Kernel* kernel = find_kernel(function);
  if (kernel == nullptr) return cudaErrorInvalidDeviceFunction;
  if (runs_at_once(stream))
    return launch_now(host, kernel, grid, block, arguments, shared, cooperative, stream);
  KernelWork work;
  if (const int code = describe_launch(host, function, grid, block, arguments, shared, cooperative, &work)) return code;
  return submit(host, std::move(work), stream);
}

int launch_extended(const HostTable& host, const cudaLaunchConfig_t& config, const void* function, void** arguments,
                    cudaStream_t stream) {
  bool cooperative = false;
  for (unsigned index = 0; index < config.numAttrs; ++index) {
    const cudaLaunchAttribute& attribute = config.attrs[index];
    if (attribute.id == cudaLaunchAttributeCooperative) cooperative = attribute.val.cooperative != 0;
    if (attribute.id == cudaLaunchAttributeClusterDimension) {
      const auto& cluster = attribute.val.clusterDim;
      if (cluster.x * cluster.y * cluster.z > 1) return host.unsupported("cudaLaunchKernelExC with thread block clusters");
    }
  }
  return launch(host, function, config.gridDim, config.blockDim, arguments, config.dynamicSmemBytes, stream,
                cooperative);
}

cudaError_t launch_entry(const void* function, dim3 grid, dim3 block, void** arguments, size_t shared,
                         cudaStream_t stream, bool cooperative) {
  return enter([&](const HostTable& host) -> int {
    return launch(host, function, grid, block, arguments, shared, stream, cooperative);
  });
}

cudaError_t extended_entry(const cudaLaunchConfig_t* config, const void* function, void** arguments,
                           bool per_thread) {
  return enter([&](const HostTable& host) -> int {
    if (config == nullptr) return cudaErrorInvalidValue;
    return launch_extended(host, *config, function, arguments, per_thread ? own(config->stream) : config->stream);
  });
}

}  // namespace

extern "C" {

unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, cudaStream_t stream) {
  configurations.push_back({grid, block, shared, stream});
  return cudaSuccess;
}

cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared, void* stream) {
  if (configurations.empty()) return record(cudaErrorMissingConfiguration);
  const Configuration& top = configurations.back();
  *grid = top.grid;
  *block = top.block;
  *shared = top.shared;
  std::memcpy(stream, &top.stream, sizeof top.stream);
  configurations.pop_back();
  return cudaSuccess;
}

cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* function) {
  const Kernel* found = find_kernel(function);
  if (found == nullptr) return record(cudaErrorInvalidDeviceFunction);
  *kernel = reinterpret_cast<cudaKernel_t>(const_cast<Kernel*>(found));
  return cudaSuccess;
}

cudaError_t cudaGetKernel(cudaKernel_t* kernel, const void* function) { return __cudaGetKernel(kernel, function); }

cudaError_t cudaGetFuncBySymbol(cudaFunction_t* function, const void* symbol) {
  const Kernel* found = find_kernel(symbol);
  if (found == nullptr) return record(cudaErrorInvalidDeviceFunction);
  *function = reinterpret_cast<cudaFunction_t>(const_cast<Kernel*>(found));
  return cudaSuccess;
}

cudaError_t cudaFuncGetParamInfo(const void* function, size_t index, size_t* offset, size_t* bytes) {
  return enter([&](const HostTable& host) -> int {
    const Kernel* kernel = find_kernel(function);
    if (kernel == nullptr) return cudaErrorInvalidDeviceFunction;
    std::uint64_t at = 0;
    std::uint64_t size = 0;
    if (const int code = host.parameter(kernel->image, kernel->name.c_str(), static_cast<std::uint32_t>(index), &at,
                                        &size))
      return code;
    if (size == 0 || offset == nullptr) return cudaErrorInvalidValue;
    *offset = at;
    if (bytes != nullptr) *bytes = size;
    return cudaSuccess;
  });
}

cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments, size_t shared,
                               cudaStream_t stream) {
  return launch_entry(kernel, grid, block, arguments, shared, stream, false);
}

cudaError_t __cudaLaunchKernel_ptsz(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments, size_t shared,
                                    cudaStream_t stream) {
  return launch_entry(kernel, grid, block, arguments, shared, own(stream), false);
}

cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** arguments, size_t shared,
                             cudaStream_t stream) {
  return launch_entry(function, grid, block, arguments, shared, stream, false);
}

cudaError_t cudaLaunchKernel_ptsz(const void* function, dim3 grid, dim3 block, void** arguments, size_t shared,
                                  cudaStream_t stream) {
  return launch_entry(function, grid, block, arguments, shared, own(stream), false);
}

cudaError_t cudaLaunchCooperativeKernel(const void* function, dim3 grid, dim3 block, void** arguments, size_t shared,
                                        cudaStream_t stream) {
  return launch_entry(function, grid, block, arguments, shared, stream, true);
}

cudaError_t cudaLaunchCooperativeKernel_ptsz(const void* function, dim3 grid, dim3 block, void** arguments,
                                             size_t shared, cudaStream_t stream) {
  return launch_entry(function, grid, block, arguments, shared, own(stream), true);
}

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* function, void** arguments) {
  return extended_entry(config, function, arguments, false);
}

cudaError_t cudaLaunchKernelExC_ptsz(const cudaLaunchConfig_t* config, const void* function, void** arguments) {
  return extended_entry(config, function, arguments, true);
}

}  // extern "C"
