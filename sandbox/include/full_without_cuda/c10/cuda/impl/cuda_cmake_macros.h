// A build of PyTorch without CUDA generates no such header; the macros that it would hold keep their defaults.
#pragma once
