// Indexing a tensor by `a[i][j]`, on the host and in kernels.
#pragma once

#include <kernelwright/scalar.h>

namespace at {

template <typename T>
struct DefaultPtrTraits {
  using PtrType = T*;
};
template <typename T>
struct RestrictPtrTraits {
  using PtrType = T* __restrict__;
};

// Sizes and strides are borrowed: valid while the packed accessor or the tensor lives.
template <typename T, size_t N, template <typename> class Traits = DefaultPtrTraits, typename Index = int64_t>
class TensorAccessor {
 public:
  using PtrType = typename Traits<T>::PtrType;
  KERNELWRIGHT_HD TensorAccessor(PtrType data, const Index* sizes, const Index* strides)
      : data_(data), sizes_(sizes), strides_(strides) {}
  KERNELWRIGHT_HD Index size(Index axis) const { return sizes_[axis]; }
  KERNELWRIGHT_HD Index stride(Index axis) const { return strides_[axis]; }
  KERNELWRIGHT_HD PtrType data() const { return data_; }
  KERNELWRIGHT_HD decltype(auto) operator[](Index index) const {
    if constexpr (N == 1) {
      return static_cast<T&>(data_[index * strides_[0]]);
    } else {
      return TensorAccessor<T, N - 1, Traits, Index>(data_ + index * strides_[0], sizes_ + 1, strides_ + 1);
    }
  }

 private:
  PtrType data_;
  const Index* sizes_;
  const Index* strides_;
};

// Carries its sizes and strides, so that it can be a kernel's parameter.
template <typename T, size_t N, template <typename> class Traits = DefaultPtrTraits, typename Index = int64_t>
class PackedTensorAccessor {
 public:
  using PtrType = typename Traits<T>::PtrType;
  PackedTensorAccessor(PtrType data, const int64_t* sizes, const int64_t* strides) : data_(data) {
    for (size_t axis = 0; axis < N; ++axis) {
      sizes_[axis] = static_cast<Index>(sizes[axis]);
      strides_[axis] = static_cast<Index>(strides[axis]);
    }
  }
  KERNELWRIGHT_HD Index size(Index axis) const { return sizes_[axis]; }
  KERNELWRIGHT_HD Index stride(Index axis) const { return strides_[axis]; }
  KERNELWRIGHT_HD PtrType data() const { return data_; }
  KERNELWRIGHT_HD decltype(auto) operator[](Index index) const {
    return TensorAccessor<T, N, Traits, Index>(data_, sizes_, strides_)[index];
  }

 private:
  PtrType data_;
  Index sizes_[N];
  Index strides_[N];
};

}  // namespace at
