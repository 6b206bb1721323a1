// Gram matrices of few items.
#include "../core/gram.hpp"

#include <algorithm>
#include <numeric>

#include "fuzz.hpp"

namespace hashgnn {

// Every entry is the larger of what its two rows hold, and the places are as they were.
void Fuzz::gather_among_items() {
  const std::int64_t n_items = between(1, 60), width = between(1, 20), n = between(0, static_cast<int>(n_items));
  std::vector<std::int32_t> columns, items(static_cast<std::size_t>(n_items));
  std::vector<float> values;
  std::vector<double> whole(static_cast<std::size_t>(n_items * n_items), 0.0);
  std::iota(items.begin(), items.end(), 0);
  for (std::int64_t row = 0; row < n_items; ++row) {
    std::shuffle(items.begin(), items.end(), random_);
    for (std::int64_t j = 0; j < width; ++j) {
      const bool fills = j >= n_items || chance(8);
      columns.push_back(fills ? static_cast<std::int32_t>(n_items) : items[static_cast<std::size_t>(j)]);
      values.push_back(fills ? 0.0f : static_cast<float>(between(1, 100)));
      if (!fills) whole[static_cast<std::size_t>(row * n_items + columns.back())] = static_cast<double>(values.back());
    }
  }
  std::shuffle(items.begin(), items.end(), random_);
  std::vector<std::int16_t> places(static_cast<std::size_t>(n_items) + 1, -1);
  std::vector<double> gram(static_cast<std::size_t>(n * n));
  gather_gram({columns.data(), values.data(), n_items, width}, items.data(), n, places.data(), gram.data());
  if (std::any_of(places.begin(), places.end(), [](std::int16_t place) { return place != -1; })) fail("a place");
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < n; ++j) {
      const std::int64_t a = items[static_cast<std::size_t>(i)], b = items[static_cast<std::size_t>(j)];
      const double expected = std::max(whole[static_cast<std::size_t>(a * n_items + b)], whole[static_cast<std::size_t>(b * n_items + a)]);
      if (gram[static_cast<std::size_t>(i * n + j)] != expected) fail("an entry of a Gram matrix");
    }
}

}  // namespace hashgnn
