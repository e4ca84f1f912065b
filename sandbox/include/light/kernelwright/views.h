// Views: tensors over the same memory. None copies anything.
#pragma once

#include <kernelwright/tensor.h>

namespace at {

inline Tensor Tensor::view(IntArrayRef shape) const {
  TORCH_CHECK(is_contiguous(), "view needs a contiguous tensor");
  std::vector<int64_t> sizes = shape.vec();
  int64_t known = 1;
  int64_t* open = nullptr;
  for (int64_t& size : sizes) {
    if (size >= 0) {
      known *= size;
    } else {
      TORCH_CHECK(open == nullptr, "only one size can be inferred");
      open = &size;
    }
  }
  if (open != nullptr) *open = known == 0 ? 0 : numel() / known;
  if (open != nullptr) known *= *open;
  TORCH_CHECK(known == numel(), "shape ", shape, " does not hold ", numel(), " elements");
  return as_strided(sizes, kernelwright::dense_strides(sizes));
}

inline Tensor Tensor::flatten(int64_t first, int64_t last) const {
  if (dim() == 0) return view({1});
  const size_t from = wrap(first), to = wrap(last);
  std::vector<int64_t> shape(sizes().begin(), sizes().begin() + from + 1);
  for (size_t axis = from + 1; axis <= to; ++axis) shape[from] *= sizes()[axis];
  shape.insert(shape.end(), sizes().begin() + to + 1, sizes().end());
  return view(shape);
}

inline Tensor Tensor::unsqueeze(int64_t axis) const {
  const int64_t place = axis < 0 ? axis + dim() + 1 : axis;
  TORCH_CHECK(0 <= place && place <= dim(), "axis ", axis, " is out of range");
  std::vector<int64_t> shape = sizes().vec(), steps = strides().vec();
  const int64_t step = place < dim() ? shape[place] * steps[place] : 1;
  shape.insert(shape.begin() + place, 1);
  steps.insert(steps.begin() + place, step);
  return as_strided(shape, steps);
}

inline Tensor Tensor::squeeze() const {
  std::vector<int64_t> shape, steps;
  for (int64_t axis = 0; axis < dim(); ++axis) {
    if (size(axis) == 1) continue;
    shape.push_back(size(axis));
    steps.push_back(stride(axis));
  }
  return as_strided(shape, steps);
}

inline Tensor Tensor::squeeze(int64_t axis) const {
  const size_t place = wrap(axis);
  if (sizes()[place] != 1) return *this;
  std::vector<int64_t> shape = sizes().vec(), steps = strides().vec();
  shape.erase(shape.begin() + place);
  steps.erase(steps.begin() + place);
  return as_strided(shape, steps);
}

inline Tensor Tensor::permute(IntArrayRef order) const {
  TORCH_CHECK(static_cast<int64_t>(order.size()) == dim(), "permute needs every axis once");
  std::vector<int64_t> shape, steps;
  for (int64_t axis : order) {
    shape.push_back(size(axis));
    steps.push_back(stride(axis));
  }
  return as_strided(shape, steps);
}

inline Tensor Tensor::transpose(int64_t first, int64_t second) const {
  std::vector<int64_t> order = kernelwright::row_major(dim());
  std::swap(order[wrap(first)], order[wrap(second)]);
  return permute(order);
}

inline Tensor Tensor::select(int64_t axis, int64_t index) const {
  const size_t place = wrap(axis);
  const int64_t length = sizes()[place], chosen = index < 0 ? index + length : index;
  TORCH_CHECK(0 <= chosen && chosen < length, "index ", index, " is out of range for an axis of ", length);
  std::vector<int64_t> shape = sizes().vec(), steps = strides().vec();
  const int64_t offset = chosen * steps[place];
  shape.erase(shape.begin() + place);
  steps.erase(steps.begin() + place);
  return as_strided(shape, steps, offset);
}

inline Tensor Tensor::narrow(int64_t axis, int64_t start, int64_t length) const {
  const int64_t whole = size(axis), first = start < 0 ? start + whole : start;
  TORCH_CHECK(0 <= first && 0 <= length && first + length <= whole, "narrow: ", start, " and ", length,
              " are out of range for an axis of ", whole);
  return slice(axis, first, first + length);
}

inline Tensor Tensor::slice(int64_t axis, optional<int64_t> start, optional<int64_t> end, int64_t step) const {
  const size_t place = wrap(axis);
  const int64_t length = sizes()[place];
  TORCH_CHECK(step > 0, "slice: the step must be positive");
  const auto clipped = [&](int64_t bound) {
    return std::clamp<int64_t>(bound < 0 ? bound + length : bound, 0, length);
  };
  const int64_t first = clipped(start.value_or(0)), last = std::max(first, clipped(end.value_or(length)));
  std::vector<int64_t> shape = sizes().vec(), steps = strides().vec();
  const int64_t offset = first * steps[place];
  shape[place] = (last - first + step - 1) / step;
  steps[place] *= step;
  return as_strided(shape, steps, offset);
}

inline Tensor Tensor::expand(IntArrayRef shape) const {
  TORCH_CHECK(static_cast<int64_t>(shape.size()) >= dim(), "expand: ", shape, " has fewer axes than ", sizes());
  std::vector<int64_t> target = shape.vec(), steps(shape.size(), 0);
  const size_t added = shape.size() - static_cast<size_t>(dim());
  for (size_t axis = added; axis < shape.size(); ++axis) {
    const int64_t length = sizes()[axis - added];
    if (target[axis] == -1) target[axis] = length;
    TORCH_CHECK(length == 1 || length == target[axis], "expand: ", sizes(), " does not expand to ", shape);
    steps[axis] = length == 1 && target[axis] != 1 ? 0 : strides()[axis - added];
  }
  return as_strided(target, steps);
}

inline std::vector<Tensor> Tensor::unbind(int64_t axis) const {
  std::vector<Tensor> parts;
  for (int64_t i = 0; i < size(axis); ++i) parts.push_back(select(axis, i));
  return parts;
}

inline std::vector<Tensor> Tensor::split(int64_t length, int64_t axis) const {
  TORCH_CHECK(length > 0, "split: the length must be positive");
  std::vector<Tensor> parts;
  for (int64_t i = 0; i < size(axis); i += length) parts.push_back(narrow(axis, i, std::min(length, size(axis) - i)));
  return parts;
}

inline std::vector<Tensor> Tensor::chunk(int64_t count, int64_t axis) const {
  TORCH_CHECK(count > 0, "chunk: the count must be positive");
  return split(std::max<int64_t>((size(axis) + count - 1) / count, 1), axis);
}

}  // namespace at
