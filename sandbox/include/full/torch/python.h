// In place of PyTorch's Python binding: candidates are called through TVM FFI, and PYBIND11_MODULE binds for it.
#pragma once

#include <kernelwright/adapter.h>
#include <kernelwright/pybind.h>
