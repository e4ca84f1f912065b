// As PyTorch's header of this name, for memory that comes from the card of TVM FFI's caller; nothing is cached here.
#pragma once

#include <c10/core/Allocator.h>
#include <c10/cuda/CUDAStream.h>

namespace c10::cuda::CUDACachingAllocator {

c10::Allocator* get();
void* raw_alloc(size_t bytes);
void raw_delete(void* data);
// One card's default stream orders everything, so memory that is given back is not in use any more.
inline void recordStream(const c10::DataPtr&, CUDAStream) {}
inline void emptyCache() {}

}  // namespace c10::cuda::CUDACachingAllocator
