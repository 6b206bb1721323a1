// Queries in the form that the scan reads: bit planes, every slice of 16 bits written twice in a word.
#pragma once

#include <cstdint>
#include <vector>

namespace hashgnn {

struct Queries {
  std::int64_t n_queries = 0;
  int n_bits = 0;
  int n_planes = 1;
  std::vector<std::uint32_t> words;        // (n_queries, n_planes, n_slices)
  std::vector<std::uint16_t> penalty_scale;  // per query; empty: penalties count as they are
  std::vector<float> step;                 // per query; empty: 1. Points of score for half a unit of value
  std::vector<std::uint16_t> least_far;    // per query; empty: 0. Minimum that the second half of any code adds

  // What a penalty of the table adds to a value of a query.
  std::uint32_t bias_of(std::uint32_t penalty, std::int64_t query) const {
    return penalty_scale.empty() ? penalty : (penalty * penalty_scale[static_cast<std::size_t>(query)]) >> 8;
  }
  std::uint32_t value_range() const { return ((1u << n_planes) - 1u) * static_cast<std::uint32_t>(n_bits); }
};

Queries code_queries(const std::uint8_t* packed, std::int64_t n_queries, int n_bits);

// Rounds each query to odd multiples of a step of its own, from -(2^n_planes - 1) to 2^n_planes - 1
// steps, so that the largest entry by absolute value is met exactly and no entry moves by more than one
// step. A step is at least 1/128, so that the largest penalty fits the values of the scan.
Queries float_queries(const float* values, std::int64_t n_queries, int n_bits, int n_planes, bool biased);

}  // namespace hashgnn
