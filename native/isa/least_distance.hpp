// The least Hamming distance of a code to some others, code by code. The instruction set of the file counts the bits.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

namespace {

template <int Words>
inline __attribute__((always_inline)) std::uint32_t least_of(const std::uint64_t* code, const std::uint64_t* others,
                                                             std::int64_t n, std::int64_t n_words, std::uint32_t least) {
  const std::int64_t width = Words > 0 ? Words : n_words;
  for (std::int64_t i = 0; i < n; ++i, others += width) {
    std::uint32_t distance = 0;
    for (std::int64_t w = 0; w < width; ++w) distance += static_cast<std::uint32_t>(std::popcount(code[w] ^ others[w]));
    least = std::min(least, distance);
  }
  return least;
}

std::uint32_t least_distance(const std::uint64_t* code, const std::uint64_t* others, std::int64_t n, std::int64_t n_words,
                             std::uint32_t least) {
  switch (n_words) {
    case 1: return least_of<1>(code, others, n, n_words, least);
    case 2: return least_of<2>(code, others, n, n_words, least);
    case 4: return least_of<4>(code, others, n, n_words, least);
    default: return least_of<0>(code, others, n, n_words, least);
  }
}

}  // namespace
