// The scores of a loss of the K best items: s of a row with threshold β becomes T * log σ((s - β) / T), plus the logarithm of how many
// items it stands for.
#pragma once

#include <cstdint>

#include "kernels.hpp"

namespace hashgnn {

enum class Precision { bf16, f32 };

// Rows of scores one after another, (n_rows, n_items).
struct SigmoidRows {
  Precision precision;
  std::int64_t n_rows, n_items;
  float temperature;
  const float* log_counts;  // (n_items,) or null
  const float* counts;      // exp of those, or null
};

// Turns scores in place, by the threshold of each row, and counts the items that score above it. Both are (n_rows,).
void turn_to_log_sigmoids(const Kernels& kernels, const SigmoidRows& rows, void* scores, const float* levels, float* n_above,
                          int n_threads);

// Multiplies values by the derivative of each turned score by the score that it was: 1 - σ((s - β) / T).
void multiply_by_derivatives(const Kernels& kernels, const SigmoidRows& rows, void* values, const void* turned, int n_threads);

}  // namespace hashgnn
