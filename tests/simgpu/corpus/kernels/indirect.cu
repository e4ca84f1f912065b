// Calls through pointers: a table of functions, and virtual methods.
typedef int (*Operation)(int, int);
__device__ __noinline__ int plus_op(int a, int b) { return a + b; }
__device__ __noinline__ int minus_op(int a, int b) { return a - b; }
__device__ __noinline__ int times_op(int a, int b) { return a * b; }
__device__ Operation operations[3] = {plus_op, minus_op, times_op};

extern "C" __global__ void function_table(const int* x, int* y, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = operations[i % 3](x[i], i);
}

struct Shape {
  __device__ virtual int area() const = 0;
};

struct Square : Shape {
  int a;
  __device__ explicit Square(int a) : a(a) {}
  __device__ int area() const override { return a * a; }
};

struct Box : Shape {
  int a, b;
  __device__ Box(int a, int b) : a(a), b(b) {}
  __device__ int area() const override { return a * b; }
};

extern "C" __global__ void virtual_methods(const int* x, int* y, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  Square square(x[i]);
  Box box(x[i], i);
  const Shape* shape = i % 2 ? static_cast<const Shape*>(&square) : &box;
  y[i] = shape->area();
}

// In the same module as a table of functions, but without a call through it.
extern "C" __global__ void direct_neighbor(const int* x, int* y, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = plus_op(x[i], i) + (operations[0] != operations[1]);
}
