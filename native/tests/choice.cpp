// Choices of candidates that differ from one another.
#include <algorithm>
#include <bit>

#include "../core/choice.hpp"
#include "fuzz.hpp"

namespace hashgnn {

// A choice of candidates that differ, against one that compares every candidate with all that are chosen, each time.
void Fuzz::choose_some() {
  const std::int64_t n = between(0, 60), n_words = between(1, 16), n_chosen = between(0, static_cast<int>(std::min<std::int64_t>(n, 3)));
  const std::int64_t n_caps = between(0, 2), k = between(0, 30);
  const auto n_bits = static_cast<std::uint32_t>(64 * n_words);
  std::vector<std::uint64_t> codes(static_cast<std::size_t>(n * n_words));
  for (std::uint64_t& word : codes) word = chance(2) ? random_() & random_() & random_() : 0;
  std::vector<double> relevance(static_cast<std::size_t>(n)), penalty(n_bits + 2, 0.0);
  for (double& value : relevance) value = between(0, 20) / 10.0;
  for (std::uint32_t d = 0; d <= n_bits; ++d) penalty[d] = 1.0 - static_cast<double>(d) / n_bits;
  std::vector<std::int32_t> groups(static_cast<std::size_t>(n * n_caps));
  std::vector<std::int64_t> caps(static_cast<std::size_t>(n_caps));
  for (std::int32_t& group : groups) group = between(-1, 3);
  for (std::int64_t& cap : caps) cap = between(1, 5);
  codes.reserve(1), relevance.reserve(1), groups.reserve(1), caps.reserve(1);  // data() of an empty vector may be null
  const Choices choices{codes.data(), n, n_words, n_bits, n_chosen, relevance.data(), penalty.data(), groups.data(), caps.data(), n_caps};
  const Chosen found = choose(*kernels_, choices, k);
  std::vector<std::int64_t> kept, expected, capped(caps.size(), 0);
  std::vector<bool> gone(static_cast<std::size_t>(n), false);
  for (std::int64_t i = 0; i < n_chosen; ++i) kept.push_back(i), gone[static_cast<std::size_t>(i)] = true;
  while (static_cast<std::int64_t>(expected.size()) < k) {
    std::int64_t best = -1;
    double most = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      if (gone[static_cast<std::size_t>(i)]) continue;
      std::uint32_t least = n_bits + 1;
      for (const std::int64_t j : kept) {
        std::uint32_t distance = 0;
        for (std::int64_t w = 0; w < n_words; ++w)
          distance += static_cast<std::uint32_t>(std::popcount(codes[static_cast<std::size_t>(i * n_words + w)] ^ codes[static_cast<std::size_t>(j * n_words + w)]));
        least = std::min(least, distance);
      }
      const double value = relevance[static_cast<std::size_t>(i)] - penalty[least];
      if (best < 0 || value > most) best = i, most = value;
    }
    if (best < 0) break;
    gone[static_cast<std::size_t>(best)] = true;
    std::int64_t full = -1;
    for (std::int64_t c = n_caps - 1; c >= 0; --c) {
      const std::int32_t group = groups[static_cast<std::size_t>(best * n_caps + c)];
      const auto same = std::count_if(kept.begin(), kept.end(), [&](std::int64_t j) { return groups[static_cast<std::size_t>(j * n_caps + c)] == group; });
      if (group >= 0 && same >= caps[static_cast<std::size_t>(c)]) full = c;
    }
    if (full >= 0) {
      ++capped[static_cast<std::size_t>(full)];
      continue;
    }
    kept.push_back(best);
    expected.push_back(best);
  }
  if (found.rows != expected || found.capped != capped) fail("a choice");
}

}  // namespace hashgnn
