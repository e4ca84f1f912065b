// PyTorch's CPU build knows CUDA tensors by name but has no guard that switches to their device. One card has nothing to
// switch, so the guard that does nothing is the right one.
#include <c10/core/impl/DeviceGuardImplInterface.h>

namespace c10::impl {

C10_REGISTER_GUARD_IMPL(CUDA, NoOpDeviceGuardImpl<DeviceType::CUDA>)

}  // namespace c10::impl
