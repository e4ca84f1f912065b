// Light stand-in for PyTorch's header of this name: of the operators it has those that compute nothing.
#pragma once

#include <kernelwright/operators.h>
