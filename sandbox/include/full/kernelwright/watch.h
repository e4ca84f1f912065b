// Which of PyTorch's operators a call of the candidate used. One that computes is not its work: the call fails.
#pragma once

#include <mutex>
#include <string_view>

#include <ATen/record_function.h>
#include <c10/util/Exception.h>

namespace kernelwright {

// Operators that allocate, describe, view, or write constants; overloads left out.
constexpr std::string_view kAllowedOperators[] = {
    "aten::empty", "aten::empty_like", "aten::empty_strided", "aten::new_empty", "aten::new_empty_strided",
    "aten::zeros", "aten::zeros_like", "aten::new_zeros", "aten::zero_", "aten::ones", "aten::ones_like",
    "aten::new_ones", "aten::full", "aten::full_like", "aten::new_full", "aten::fill_", "aten::scalar_tensor",
    "aten::view", "aten::view_as", "aten::reshape", "aten::reshape_as", "aten::_reshape_alias", "aten::as_strided",
    "aten::flatten", "aten::unflatten", "aten::t", "aten::transpose", "aten::permute", "aten::movedim", "aten::mT",
    "aten::select", "aten::narrow", "aten::slice", "aten::expand", "aten::expand_as", "aten::squeeze",
    "aten::unsqueeze", "aten::unbind", "aten::split", "aten::split_with_sizes", "aten::chunk", "aten::detach",
    "aten::alias", "aten::contiguous", "aten::clone", "aten::copy_", "aten::to", "aten::_to_copy", "aten::item",
    "aten::_local_scalar_dense", "aten::is_nonzero", "aten::requires_grad_", "aten::set_data", "aten::resize_",
    "aten::lift_fresh", "aten::is_same_size", "aten::size", "aten::stride", "aten::numel"};

class Watch {
 public:
  static Watch& instance() {
    static Watch watch;
    return watch;
  }
  void clear() {
    const std::lock_guard<std::mutex> lock(mutex_);
    found_.clear();
  }
  std::string found() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return found_;
  }

 private:
  Watch() {
    at::addGlobalCallback(at::RecordFunctionCallback(&Watch::see).scopes({at::RecordScope::FUNCTION}));
  }
  static std::unique_ptr<at::ObserverContext> see(const at::RecordFunction& function) {
    const std::string_view name = function.name();
    if (name.substr(0, 6) == "aten::" && !allowed(name)) instance().note(name);
    return nullptr;
  }
  static bool allowed(std::string_view name) {
    for (std::string_view known : kAllowedOperators)
      if (name == known) return true;
    return false;
  }
  void note(std::string_view name) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (found_.empty()) found_ = name;
  }

  std::mutex mutex_;
  std::string found_;
};

// Run the call under the watch.
template <typename Body>
void watched(Body body) {
  Watch& watch = Watch::instance();
  watch.clear();
  body();
  const std::string found = watch.found();
  TORCH_CHECK(found.empty(), "the candidate leaves work to PyTorch: it calls ", found);
}

}  // namespace kernelwright
