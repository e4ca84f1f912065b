// PyTorch's headers, then TORCH_LIBRARY in our sense: what a candidate registers is entered in the table of bindings.
#pragma once

#include <torch/library.h>

#include <kernelwright/adapter.h>
#include <kernelwright/library.h>
