#include "log_sigmoids.hpp"

#include <algorithm>

#include "thread_pool.hpp"

namespace hashgnn {
namespace {

constexpr std::int64_t kTaskEntries = 1 << 16;

std::int64_t row_bytes(const SigmoidRows& rows) {
  return rows.n_items * (rows.precision == Precision::bf16 ? std::int64_t{2} : std::int64_t{4});
}

// Calls change(row) for all rows, some at a time on each thread.
template <class Change>
void for_rows(const SigmoidRows& rows, int n_threads, Change change) {
  const std::int64_t at_a_time = std::max<std::int64_t>(1, kTaskEntries / std::max<std::int64_t>(1, rows.n_items));
  run_tasks((rows.n_rows + at_a_time - 1) / at_a_time, n_threads, [&](std::int64_t task) {
    const std::int64_t end = std::min(rows.n_rows, (task + 1) * at_a_time);
    for (std::int64_t row = task * at_a_time; row < end; ++row) change(row);
  });
}

SigmoidRow row_of(const SigmoidRows& rows, float level) {
  return {rows.n_items, level, rows.temperature, rows.log_counts, rows.counts};
}

}  // namespace

void turn_to_log_sigmoids(const Kernels& kernels, const SigmoidRows& rows, void* scores, const float* levels, float* n_above,
                          int n_threads) {
  const auto turn = rows.precision == Precision::bf16 ? kernels.log_sigmoids_bf16 : kernels.log_sigmoids_f32;
  for_rows(rows, n_threads, [&](std::int64_t row) {
    n_above[row] = turn(static_cast<char*>(scores) + row * row_bytes(rows), row_of(rows, levels[row]));
  });
}

void multiply_by_derivatives(const Kernels& kernels, const SigmoidRows& rows, void* values, const void* turned, int n_threads) {
  const auto multiply = rows.precision == Precision::bf16 ? kernels.times_derivatives_bf16 : kernels.times_derivatives_f32;
  for_rows(rows, n_threads, [&](std::int64_t row) {
    const std::int64_t offset = row * row_bytes(rows);
    multiply(static_cast<char*>(values) + offset, static_cast<const char*>(turned) + offset, row_of(rows, 0.0f));
  });
}

}  // namespace hashgnn
