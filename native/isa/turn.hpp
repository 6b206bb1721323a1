// A row vector times a matrix, with one order of addition for every instruction set. Products are rounded before they are added.
#pragma once

#include <cstdint>
#include <vector>

#include "dot.hpp"

namespace {

template <class Floats, int Blocks>
inline __attribute__((always_inline)) void turn_blocks(const float* spread, const float* matrix, std::int64_t width,
                                                       std::int64_t n_columns, float* turned) {
  typename Floats::Sum sums[Blocks];
  for (int b = 0; b < Blocks; ++b) sums[b] = Floats::zero();
  for (std::int64_t i = 0; i < width; ++i)
    for (int b = 0; b < Blocks; ++b) sums[b] = Floats::f32(sums[b], spread + kSums * i, matrix + i * n_columns + kSums * b);
  for (int b = 0; b < Blocks; ++b) Floats::store(turned + kSums * b, sums[b]);
}

// The columns from `column` on, as many blocks at a time as there are sums that do not wait for one another.
template <class Floats, int Blocks>
void turn_columns(const float* spread, const float* matrix, std::int64_t width, std::int64_t n_columns, std::int64_t column, float* turned) {
  for (; column + Blocks * kSums <= n_columns; column += Blocks * kSums)
    turn_blocks<Floats, Blocks>(spread, matrix + column, width, n_columns, turned + column);
  if constexpr (Blocks > 1)
    if (column < n_columns) turn_columns<Floats, Blocks - 1>(spread, matrix, width, n_columns, column, turned);
}

template <class Floats>
void turn(const float* vector, const float* matrix, std::int64_t width, std::int64_t n_columns, float* turned) {
  thread_local std::vector<float> spread;  // each entry as often as a block has columns
  spread.resize(static_cast<std::size_t>(kSums * width));
  for (std::int64_t i = 0; i < width; ++i)
    for (int lane = 0; lane < kSums; ++lane) spread[static_cast<std::size_t>(kSums * i + lane)] = vector[i];
  turn_columns<Floats, Floats::kTurned>(spread.data(), matrix, width, n_columns, 0, turned);
}

}  // namespace
