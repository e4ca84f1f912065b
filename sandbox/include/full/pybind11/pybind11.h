// In place of pybind11: see torch/python.h.
#pragma once

#include <torch/python.h>
