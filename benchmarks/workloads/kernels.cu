// The CUDA kernels that benchmarks/simgpu.py runs.

extern "C" __global__ void vadd(const float* a, const float* b, float* c, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) c[i] = a[i] + b[i];
}

__device__ float block_all(float value, float* scratch, bool largest) {
    for (int offset = 16; offset > 0; offset /= 2) {
        float other = __shfl_xor_sync(~0u, value, offset);
        value = largest ? fmaxf(value, other) : value + other;
    }
    int warp = threadIdx.x / 32, warps = blockDim.x / 32;
    __syncthreads();
    if (threadIdx.x % 32 == 0) scratch[warp] = value;
    __syncthreads();
    value = scratch[0];
    for (int i = 1; i < warps; ++i) value = largest ? fmaxf(value, scratch[i]) : value + scratch[i];
    return value;
}

extern "C" __global__ void softmax(const float* x, float* y, int columns) {
    __shared__ float scratch[32];
    const float* row = x + (size_t)blockIdx.x * columns;
    float* out = y + (size_t)blockIdx.x * columns;
    float top = -INFINITY, sum = 0;
    for (int i = threadIdx.x; i < columns; i += blockDim.x) top = fmaxf(top, row[i]);
    top = block_all(top, scratch, true);
    for (int i = threadIdx.x; i < columns; i += blockDim.x) sum += expf(row[i] - top);
    sum = block_all(sum, scratch, false);
    for (int i = threadIdx.x; i < columns; i += blockDim.x) out[i] = expf(row[i] - top) / sum;
}

extern "C" __global__ void sgemm(const float* a, const float* b, float* c, int n) {
    __shared__ float left[16][16], right[16][16];
    int x = threadIdx.x, y = threadIdx.y, row = blockIdx.y * 16 + y, column = blockIdx.x * 16 + x;
    float sum = 0;
    for (int k = 0; k < n; k += 16) {
        left[y][x] = a[row * n + k + x];
        right[y][x] = b[(k + y) * n + column];
        __syncthreads();
        for (int i = 0; i < 16; ++i) sum += left[y][i] * right[i][x];
        __syncthreads();
    }
    c[row * n + column] = sum;
}

extern "C" __global__ void reduce(const float* x, float* total, int n) {
    __shared__ float partial[256];
    int t = threadIdx.x, i = blockIdx.x * blockDim.x + t;
    partial[t] = i < n ? x[i] : 0;
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        if (t < half) partial[t] += partial[t + half];
        __syncthreads();
    }
    if (t == 0) atomicAdd(total, partial[0]);
}

extern "C" __global__ void transpose(const float* x, float* y, int n) {
    int column = blockIdx.x * 16 + threadIdx.x, row = blockIdx.y * 16 + threadIdx.y;
    y[column * n + row] = x[row * n + column];
}

// About 2,000 PTX instructions: a product that keeps 8x8 sums per thread and is unrolled over 16 steps.
extern "C" __global__ void register_tiles(const float* a, const float* b, float* c, int n) {
    __shared__ float left[16][64], right[16][64];
    int x = threadIdx.x % 8, y = threadIdx.x / 8;
    float sums[8][8] = {};
    for (int k = 0; k < n; k += 16) {
        for (int i = threadIdx.x; i < 1024; i += 64) {
            left[i % 16][i / 16] = a[(blockIdx.y * 64 + i / 16) * n + k + i % 16];
            right[i / 64][i % 64] = b[(k + i / 64) * n + blockIdx.x * 64 + i % 64];
        }
        __syncthreads();
#pragma unroll
        for (int step = 0; step < 16; ++step)
#pragma unroll
            for (int i = 0; i < 8; ++i)
#pragma unroll
                for (int j = 0; j < 8; ++j) sums[i][j] += left[step][y * 8 + i] * right[step][x * 8 + j];
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < 8; ++i)
#pragma unroll
        for (int j = 0; j < 8; ++j) c[(blockIdx.y * 64 + y * 8 + i) * n + blockIdx.x * 64 + x * 8 + j] = sums[i][j];
}
