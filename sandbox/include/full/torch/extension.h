// PyTorch's own torch/extension.h, its Python binding replaced.
#pragma once

#include <torch/all.h>
#include <torch/python.h>
