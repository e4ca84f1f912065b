// Everything that torch/extension.h gives a candidate, as far as the light headers go.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include <kernelwright/cuda.h>
#include <kernelwright/dispatch.h>
#include <kernelwright/pybind.h>
