// What torch/library.h gives a candidate: TORCH_LIBRARY and `torch::dispatch`.
#pragma once

#include <kernelwright/extension.h>
#include <kernelwright/library.h>

namespace torch {
using Library = kernelwright::Library;

template <typename Key, typename Function>
kernelwright::OnKey<Function> dispatch(Key key, Function function) {
  return {function, kernelwright::on_device(key)};
}
}  // namespace torch
