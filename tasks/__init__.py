"""Tasks: what is to be optimised. The task format, its loaders, and the library of ops."""
