// The same five computations for the host: what a C++ compiler makes of plain loops, one thread.
// The softmax has a file of its own, for other flags.
#include <algorithm>

extern "C" void vadd(const float* __restrict a, const float* __restrict b, float* __restrict c, int n) {
    for (int i = 0; i < n; ++i) c[i] = a[i] + b[i];
}

extern "C" void sgemm(const float* __restrict a, const float* __restrict b, float* __restrict c, int n) {
    for (int i = 0; i < n; i += 4)
        for (int column = 0; column < n; column += 64) {
            float tile[4][64] = {};  // stays in vector registers
            for (int k = 0; k < n; ++k) {
                const float *from = a + i * n + k, *line = b + k * n + column;
                for (int r = 0; r < 4; ++r)
                    for (int j = 0; j < 64; ++j) tile[r][j] += from[r * n] * line[j];
            }
            for (int r = 0; r < 4; ++r) std::copy(tile[r], tile[r] + 64, c + (i + r) * n + column);
        }
}

extern "C" void reduce(const float* __restrict x, float* __restrict total, int n) {
    float sum = 0;
    for (int i = 0; i < n; ++i) sum += x[i];
    *total += sum;
}

extern "C" void transpose(const float* __restrict x, float* __restrict y, int n) {
    for (int row = 0; row < n; ++row)
        for (int column = 0; column < n; ++column) y[column * n + row] = x[row * n + column];
}
