// Positions with scores as whole numbers of 64 bits, which are compared faster than pairs, and the choice of the smallest.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace hashgnn {

struct Scored {
  std::uint32_t position;
  float score;
};

// A NaN has no place in an order; it goes last.
inline float ranked(float score) { return std::isnan(score) ? -std::numeric_limits<float>::infinity() : score; }

// Smaller for a larger score, and for a smaller position where scores are equal.
inline std::uint64_t key_of(const Scored& one) {
  const auto bits = std::bit_cast<std::uint32_t>(one.score + 0.0f);  // -0 is 0
  const std::uint32_t ascending = (bits >> 31) != 0 ? ~bits : bits | 0x80000000u;
  return (std::uint64_t{~ascending} << 32) | one.position;
}

inline Scored of_key(std::uint64_t key) {
  const auto ascending = ~static_cast<std::uint32_t>(key >> 32);
  const std::uint32_t bits = (ascending >> 31) != 0 ? ascending & 0x7FFFFFFFu : ~ascending;
  return {static_cast<std::uint32_t>(key), std::bit_cast<float>(bits)};
}

// Puts the `wanted` smallest of n keys in front, in no order; `spare` has room for n. 0 <= wanted <= n.
void select_smallest(std::uint64_t* keys, std::int64_t n, std::int64_t wanted, std::uint64_t* spare);
// The same of floats, none of them a NaN.
void select_smallest(float* values, std::int64_t n, std::int64_t wanted, float* spare);

}  // namespace hashgnn
