// Inner products with one order of addition for every instruction set: 16 running sums, entry j of a row
// goes to sum j % 16; then the sums are added in halves. Products are rounded before they are added.
#pragma once

#include <cstdint>

#include "half.hpp"

namespace {

inline constexpr int kSums = 16;

template <class Floats, class Entry, class Block, class Single>
inline __attribute__((always_inline)) float dot(const float* query, const Entry* row, std::int64_t width,
                                                Block add_block, Single single) {
  typename Floats::Sum sum = Floats::zero();
  std::int64_t j = 0;
  for (; j + kSums <= width; j += kSums) sum = add_block(sum, query + j, row + j);
  float sums[kSums];
  Floats::store(sums, sum);
  for (int i = 0; j < width; ++i, ++j) sums[i] += query[j] * single(row[j]);
  for (int half = kSums / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) sums[i] += sums[i + half];
  return sums[0];
}

template <class Floats>
float dot_f32(const float* query, const float* row, std::int64_t width) {
  return dot<Floats>(
      query, row, width, [](auto s, const float* q, const float* r) { return Floats::f32(s, q, r); },
      [](float value) { return value; });
}

template <class Floats>
float dot_f16(const float* query, const std::uint16_t* row, std::int64_t width) {
  return dot<Floats>(
      query, row, width, [](auto s, const float* q, const std::uint16_t* r) { return Floats::f16(s, q, r); },
      [](std::uint16_t value) { return half_to_float(value); });
}

template <class Floats>
float dot_i8(const float* query, const std::int8_t* row, std::int64_t width) {
  return dot<Floats>(
      query, row, width, [](auto s, const float* q, const std::int8_t* r) { return Floats::i8(s, q, r); },
      [](std::int8_t value) { return static_cast<float>(value); });
}

}  // namespace
