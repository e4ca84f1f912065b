// As PyTorch's header of this name, without the libraries (cuBLAS, cuSPARSE, cuSOLVER) whose errors it also spells.
#pragma once

#include <ATen/Context.h>
#include <c10/cuda/CUDAException.h>
#include <c10/util/Exception.h>

#define AT_CUDA_CHECK(expression) C10_CUDA_CHECK(expression)
