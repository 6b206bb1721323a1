#include "gram.hpp"

#include <algorithm>
#include <vector>

namespace hashgnn {
namespace {

constexpr std::int64_t kTile = 16;

// Gives an entry and the one across the diagonal the larger of both: it may be kept in one of its rows only.
void make_symmetric(double* gram, std::int64_t n) {
  for (std::int64_t top = 0; top < n; top += kTile)
    for (std::int64_t left = 0; left <= top; left += kTile)
      for (std::int64_t i = top; i < std::min(n, top + kTile); ++i)
        for (std::int64_t j = left; j < std::min(i, left + kTile); ++j)
          gram[i * n + j] = gram[j * n + i] = std::max(gram[i * n + j], gram[j * n + i]);
}

}  // namespace

void gather_gram(const LargestEntries& entries, const std::int32_t* items, std::int64_t n, std::int16_t* places, double* gram) {
  for (std::int64_t i = 0; i < n; ++i) places[items[i]] = static_cast<std::int16_t>(i);
  std::vector<double> row(static_cast<std::size_t>(n) + 1);  // the last takes what is of other items
  for (std::int64_t i = 0; i < n; ++i) {
    std::fill(row.begin(), row.end(), 0.0);
    const std::int32_t* columns = entries.columns + items[i] * entries.width;
    const float* values = entries.values + items[i] * entries.width;
    for (std::int64_t j = 0; j < entries.width; ++j) {
      // Unsigned, -1 is above all places; nor can a place that the caller left behind lie outside the row.
      const std::int64_t place = static_cast<std::uint16_t>(places[columns[j]]);
      row[static_cast<std::size_t>(std::min(place, n))] = static_cast<double>(values[j]);
    }
    std::copy_n(row.begin(), n, gram + i * n);
  }
  for (std::int64_t i = 0; i < n; ++i) places[items[i]] = -1;
  make_symmetric(gram, n);
}

}  // namespace hashgnn
