// Products of signed bytes with groups of 16 centres, see core/centres.hpp, written once over four entries of a group.
//
// `Quads` provides:
//   Row      four entries of 16 centres;       load(bytes)
//   Four     four entries of what is asked;    splat(bytes)
//   Sum      16 sums of 32 bits;               zero(), add(sum, row, four)
//   store(sums, sum, total)  where `total` is the sum of the entries asked
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

namespace {

inline constexpr std::int64_t kGroup = 16;  // centres

template <class Quads, int Asked, int Groups>
inline __attribute__((always_inline)) void centre_tile(const std::int8_t* asked, const std::int32_t* totals, std::int64_t n_quads,
                                                       const std::int8_t* centres, std::int32_t* products, std::int64_t n_columns) {
  typename Quads::Sum sums[Asked][Groups];
  for (int a = 0; a < Asked; ++a)
    for (int g = 0; g < Groups; ++g) sums[a][g] = Quads::zero();
  for (std::int64_t quad = 0; quad < n_quads; ++quad) {
    typename Quads::Row rows[Groups];
    for (int g = 0; g < Groups; ++g) rows[g] = Quads::load(centres + (g * n_quads + quad) * 4 * kGroup);
    for (int a = 0; a < Asked; ++a) {
      const typename Quads::Four four = Quads::splat(asked + 4 * (a * n_quads + quad));
      for (int g = 0; g < Groups; ++g) sums[a][g] = Quads::add(sums[a][g], rows[g], four);
    }
  }
  for (int a = 0; a < Asked; ++a)
    for (int g = 0; g < Groups; ++g) Quads::store(products + a * n_columns + kGroup * g, sums[a][g], totals[a]);
}

inline std::int32_t total_of(const std::int8_t* asked, std::int64_t n_quads) {
  std::int32_t total = 0;
  for (std::int64_t j = 0; j < 4 * n_quads; ++j) total += asked[j];
  return total;
}

template <class Quads, int Asked, int Groups>
void products_of_tile(const std::int8_t* asked, std::int64_t n_quads, const std::int8_t* centres, std::int64_t n_groups,
                      std::int32_t* products) {
  std::int32_t totals[Asked];
  for (int a = 0; a < Asked; ++a) totals[a] = total_of(asked + 4 * a * n_quads, n_quads);
  const std::int64_t n_columns = kGroup * n_groups;
  std::int64_t group = 0;
  for (; group + Groups <= n_groups; group += Groups)
    centre_tile<Quads, Asked, Groups>(asked, totals, n_quads, centres + group * n_quads * 4 * kGroup, products + group * kGroup, n_columns);
  for (; group < n_groups; ++group)
    centre_tile<Quads, Asked, 1>(asked, totals, n_quads, centres + group * n_quads * 4 * kGroup, products + group * kGroup, n_columns);
}

// The products of n embeddings with all centres, shape (n, 16 * n_groups).
template <class Quads>
void centre_products(const std::int8_t* asked, std::int64_t n, std::int64_t n_quads, const std::int8_t* centres, std::int64_t n_groups,
                     std::int32_t* products) {
  constexpr int kGroups = 4;  // sums of one embedding that do not wait for one another
  std::int64_t i = 0;
  for (; i + Quads::kAsked <= n; i += Quads::kAsked)
    products_of_tile<Quads, Quads::kAsked, 1>(asked + 4 * i * n_quads, n_quads, centres, n_groups, products + i * kGroup * n_groups);
  for (; i < n; ++i)
    products_of_tile<Quads, 1, kGroups>(asked + 4 * i * n_quads, n_quads, centres, n_groups, products + i * kGroup * n_groups);
}

// The products of one embedding with some groups, shape (n, 16).
template <class Quads>
void some_centre_products(const std::int8_t* asked, std::int64_t n_quads, const std::int8_t* centres, const std::int32_t* groups,
                          std::int64_t n, std::int32_t* products) {
  const std::int32_t total = total_of(asked, n_quads);
  const auto together = [&]<int Groups>(std::int64_t i) {
    typename Quads::Sum sums[Groups];
    const std::int8_t* rows[Groups];
    for (int g = 0; g < Groups; ++g) sums[g] = Quads::zero(), rows[g] = centres + groups[i + g] * n_quads * 4 * kGroup;
    for (std::int64_t quad = 0; quad < n_quads; ++quad) {
      const typename Quads::Four four = Quads::splat(asked + 4 * quad);
      for (int g = 0; g < Groups; ++g) sums[g] = Quads::add(sums[g], Quads::load(rows[g] + quad * 4 * kGroup), four);
    }
    for (int g = 0; g < Groups; ++g) Quads::store(products + (i + g) * kGroup, sums[g], total);
  };
  std::int64_t i = 0;
  for (; i + Quads::kAsked <= n; i += Quads::kAsked) together.template operator()<Quads::kAsked>(i);
  for (; i < n; ++i) together.template operator()<1>(i);
}

template <class Quads, int Asked>
void nearest_of_tile(const std::int8_t* asked, const float* factors, std::int64_t n_quads, const std::int8_t* centres,
                     std::int64_t n_groups, const float* scale, const float* half, std::int32_t* nearest) {
  std::int32_t totals[Asked], at[Asked][kGroup], products[Asked][kGroup];
  float best[Asked][kGroup];
  for (int a = 0; a < Asked; ++a) {
    totals[a] = total_of(asked + 4 * a * n_quads, n_quads);
    for (int i = 0; i < kGroup; ++i) best[a][i] = -std::numeric_limits<float>::infinity(), at[a][i] = 0;
  }
  for (std::int64_t group = 0; group < n_groups; ++group) {
    centre_tile<Quads, Asked, 1>(asked, totals, n_quads, centres + group * n_quads * 4 * kGroup, products[0], kGroup);
    const float* scales = scale + group * kGroup;
    const float* halves = half + group * kGroup;
    for (int a = 0; a < Asked; ++a)
      for (int i = 0; i < kGroup; ++i) {
        const float value = static_cast<float>(products[a][i]) * (scales[i] * factors[a]) - halves[i];
        const bool is_better = value > best[a][i];
        best[a][i] = is_better ? value : best[a][i];
        at[a][i] = is_better ? static_cast<std::int32_t>(group) : at[a][i];
      }
  }
  for (int a = 0; a < Asked; ++a) {
    float most = best[a][0];
    auto first = static_cast<std::int32_t>(at[a][0] * kGroup);
    for (int i = 1; i < kGroup; ++i) {
      const auto number = static_cast<std::int32_t>(at[a][i] * kGroup + i);
      if (best[a][i] > most || (best[a][i] == most && number < first)) most = best[a][i], first = number;
    }
    nearest[a] = first;
  }
}

// Of each embedding, factor times its bytes, the centre with the largest product less half of its square; ties to the smaller.
template <class Quads>
void nearest_centres(const std::int8_t* asked, const float* factors, std::int64_t n, std::int64_t n_quads, const std::int8_t* centres,
                     std::int64_t n_groups, const float* scale, const float* half, std::int32_t* nearest) {
  std::int64_t i = 0;
  for (; i + Quads::kAsked <= n; i += Quads::kAsked)
    nearest_of_tile<Quads, Quads::kAsked>(asked + 4 * i * n_quads, factors + i, n_quads, centres, n_groups, scale, half, nearest + i);
  for (; i < n; ++i)
    nearest_of_tile<Quads, 1>(asked + 4 * i * n_quads, factors + i, n_quads, centres, n_groups, scale, half, nearest + i);
}

}  // namespace
