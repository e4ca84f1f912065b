"""simgpu: a simulated GPU that executes PTX on the CPU, checks every access and models the time."""
