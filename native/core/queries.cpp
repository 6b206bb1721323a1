#include "queries.hpp"

#include <algorithm>
#include <cmath>

#include "layout.hpp"

namespace hashgnn {
namespace {

constexpr std::uint32_t twice(std::uint16_t slice) { return slice * 0x00010001u; }

constexpr float kSmallestBiasedStep = 1.0f / 128.0f;

}  // namespace

Queries code_queries(const std::uint8_t* packed, std::int64_t n_queries, int n_bits) {
  Queries queries;
  queries.n_queries = n_queries;
  queries.n_bits = n_bits;
  const int n_slices = slices_of(n_bits);
  const int n_bytes = n_bits / 8;
  queries.words.reserve(static_cast<std::size_t>(n_queries * n_slices));
  for (std::int64_t q = 0; q < n_queries; ++q)
    for (int s = 0; s < n_slices; ++s) queries.words.push_back(twice(slice_at(packed + q * n_bytes, n_bytes, s)));
  return queries;
}

Queries float_queries(const float* values, std::int64_t n_queries, int n_bits, int n_planes, bool biased) {
  Queries queries;
  queries.n_queries = n_queries;
  queries.n_bits = n_bits;
  queries.n_planes = n_planes;
  const int n_slices = slices_of(n_bits);
  const int n_bytes = n_bits / 8;
  const int levels = (1 << n_planes) - 1;
  const int n_near_bits = 16 * near_slices_of(n_slices);
  std::vector<std::uint8_t> planes(static_cast<std::size_t>(n_planes) * n_bytes);
  queries.words.reserve(static_cast<std::size_t>(n_queries) * n_planes * n_slices);
  for (std::int64_t q = 0; q < n_queries; ++q) {
    const float* query = values + q * n_bits;
    float largest = 0.0f;
    for (int j = 0; j < n_bits; ++j) largest = std::max(largest, std::abs(query[j]));
    float step = largest / static_cast<float>(levels);
    if (biased) step = std::max(step, kSmallestBiasedStep);
    if (!(step > 0.0f)) step = 1.0f;  // a query of zeros: every order is as good
    std::fill(planes.begin(), planes.end(), std::uint8_t{0});
    int least_far = 0;
    for (int j = 0; j < n_bits; ++j) {
      // 2 * level - levels is the nearest odd multiple.
      const float place = (query[j] / step + static_cast<float>(levels)) * 0.5f;
      const int level = std::clamp(static_cast<int>(std::lrint(place)), 0, levels);
      if (j >= n_near_bits) least_far += std::min(level, levels - level);
      for (int p = 0; p < n_planes; ++p) {
        const int bit = (level >> (n_planes - 1 - p)) & 1;
        planes[static_cast<std::size_t>(p * n_bytes + j / 8)] |= static_cast<std::uint8_t>(bit << (7 - j % 8));
      }
    }
    for (int p = 0; p < n_planes; ++p)
      for (int s = 0; s < n_slices; ++s)
        queries.words.push_back(twice(slice_at(planes.data() + p * n_bytes, n_bytes, s)));
    queries.step.push_back(step);
    queries.least_far.push_back(static_cast<std::uint16_t>(least_far));
    if (biased) queries.penalty_scale.push_back(static_cast<std::uint16_t>(std::lrint(std::min(256.0f / step, 32768.0f))));
  }
  return queries;
}

}  // namespace hashgnn
