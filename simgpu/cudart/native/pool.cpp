// Memory pools. There is one memory here and freed memory goes back at once, so a pool is a name with attributes.
#include <list>
#include <memory>

#include "standin.h"

using namespace standin;

namespace {

struct Pool {
  std::uint64_t release_threshold = 0;
  int reuse[cudaMemPoolReuseAllowInternalDependencies + 1] = {1, 1, 1, 1};
};

std::list<std::unique_ptr<Pool>>& pools() {
  static auto* instance = new std::list<std::unique_ptr<Pool>>;
  if (instance->empty()) instance->push_back(std::make_unique<Pool>());
  return *instance;
}

Pool* default_pool() { return pools().front().get(); }

Pool*& current_pool() {
  static Pool* current = default_pool();
  return current;
}

Pool* pool_of(cudaMemPool_t handle) { return reinterpret_cast<Pool*>(handle); }

cudaMemPool_t handle_of(Pool* pool) { return reinterpret_cast<cudaMemPool_t>(pool); }

bool is_pool(cudaMemPool_t handle) {
  for (const auto& pool : pools())
    if (pool.get() == pool_of(handle)) return true;
  return false;
}

int give(Pool* pool, int device, cudaMemPool_t* handle) {
  if (device != 0) return cudaErrorInvalidDevice;
  if (handle == nullptr) return cudaErrorInvalidValue;
  *handle = handle_of(pool);
  return cudaSuccess;
}

// Read or write an attribute of a pool that exists.
template <class Access>
cudaError_t attribute(cudaMemPool_t pool, cudaMemPoolAttr which, void* value, Access&& access) {
  return enter([&](const HostTable& host) -> int {
    if (!is_pool(pool) || value == nullptr) return cudaErrorInvalidValue;
    if (which == cudaMemPoolAttrReleaseThreshold) {
      access(pool_of(pool)->release_threshold, *static_cast<std::uint64_t*>(value));
      return cudaSuccess;
    }
    if (which > cudaMemPoolReuseAllowInternalDependencies) return host.unsupported("this attribute of a memory pool");
    access(pool_of(pool)->reuse[which], *static_cast<int*>(value));
    return cudaSuccess;
  });
}

}  // namespace

extern "C" {

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int device) {
  return enter([&](const HostTable&) { return give(default_pool(), device, pool); });
}

cudaError_t cudaDeviceGetMemPool(cudaMemPool_t* pool, int device) {
  return enter([&](const HostTable&) { return give(current_pool(), device, pool); });
}

cudaError_t cudaDeviceSetMemPool(int device, cudaMemPool_t pool) {
  return enter([&](const HostTable&) -> int {
    if (device != 0) return cudaErrorInvalidDevice;
    if (!is_pool(pool)) return cudaErrorInvalidValue;
    current_pool() = pool_of(pool);
    return cudaSuccess;
  });
}

cudaError_t cudaMemPoolCreate(cudaMemPool_t* pool, const cudaMemPoolProps* properties) {
  return enter([&](const HostTable&) -> int {
    if (pool == nullptr || properties == nullptr) return cudaErrorInvalidValue;
    if (properties->location.type == cudaMemLocationTypeDevice && properties->location.id != 0)
      return cudaErrorInvalidDevice;
    pools().push_back(std::make_unique<Pool>());
    *pool = handle_of(pools().back().get());
    return cudaSuccess;
  });
}

cudaError_t cudaMemPoolDestroy(cudaMemPool_t pool) {
  return enter([&](const HostTable&) -> int {
    if (!is_pool(pool) || pool_of(pool) == default_pool()) return cudaErrorInvalidValue;
    if (current_pool() == pool_of(pool)) current_pool() = default_pool();
    pools().remove_if([&](const auto& one) { return one.get() == pool_of(pool); });
    return cudaSuccess;
  });
}

cudaError_t cudaMallocFromPoolAsync(void** pointer, size_t bytes, cudaMemPool_t pool, cudaStream_t stream) {
  const cudaError_t code =
      enter([&](const HostTable&) -> int { return is_pool(pool) ? cudaSuccess : cudaErrorInvalidValue; });
  return code == cudaSuccess ? cudaMallocAsync(pointer, bytes, stream) : code;
}

cudaError_t cudaMallocFromPoolAsync_ptsz(void** pointer, size_t bytes, cudaMemPool_t pool, cudaStream_t stream) {
  return cudaMallocFromPoolAsync(pointer, bytes, pool, stream == nullptr ? cudaStreamPerThread : stream);
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, cudaMemPoolAttr which, void* value) {
  return attribute(pool, which, value, [](auto& held, auto& given) { held = given; });
}

cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t pool, cudaMemPoolAttr which, void* value) {
  return attribute(pool, which, value, [](auto& held, auto& given) { given = held; });
}

cudaError_t cudaMemPoolTrimTo(cudaMemPool_t pool, size_t) {
  return enter([&](const HostTable&) -> int { return is_pool(pool) ? cudaSuccess : cudaErrorInvalidValue; });
}

}  // extern "C"
