// Light stand-in for PyTorch's header of this name.
#pragma once

#include <kernelwright/extension.h>
