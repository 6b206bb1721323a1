// The Gram matrix among some items, from the largest entries of each row of the whole one.
#pragma once

#include <cstdint>

namespace hashgnn {

// The largest entries of each row of a symmetric matrix of items by items, (n_items, width); a row of fewer is filled up with the
// column n_items.
struct LargestEntries {
  const std::int32_t* columns;
  const float* values;
  std::int64_t n_items, width;
};

inline constexpr std::int64_t kMostChosen = 32767;

// Writes the matrix among n items, (n, n); an entry that neither of its rows holds is 0. `places` are -1, one more than there are
// items, before and afterwards. The items are distinct.
void gather_gram(const LargestEntries& entries, const std::int32_t* items, std::int64_t n, std::int16_t* places, double* gram);

}  // namespace hashgnn
