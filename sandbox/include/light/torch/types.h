// Light stand-in for PyTorch's header of this name.
#pragma once

#include <kernelwright/operators.h>
