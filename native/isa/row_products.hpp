// Inner products of an integer query with rows of 2, 3, 4 or 8 bits an entry, written once over chunks of bytes. Sums are of
// integers and never overflow, so every instruction set gives the same.
//
// A `Chunk` provides:
//   Bytes            a register;  kBytes  how many it has
//   Sum              sums of 32 bits; zero(), total(sum), totals(a, b, c, d, out)
//   load(from, n)    the first n bytes, 0 behind them
//   part<Bits, p>(bytes)  bits p * Bits and on of each byte
//   add<Bits>(sum, part, query)  with the products of each byte with those at `query`
//   kLess            what add<8> takes away from each byte
#pragma once

#include <algorithm>
#include <cstdint>

#include "../core/kernels.hpp"

namespace {

using hashgnn::RowQuery;

inline constexpr std::int64_t kRowsAhead = 16;  // fetched before they are needed: they lie anywhere in memory

// Planes of a chunk of a section of entries of Bits bits; `first` is the first plane of the section, of `n_planes` in all.
template <class Chunk, int Bits, int Terms, int Plane>
inline __attribute__((always_inline)) void add_planes(const RowQuery& query, int first, int n_planes, std::int64_t at,
                                                      typename Chunk::Bytes bytes, typename Chunk::Sum (&sums)[Terms]) {
  if constexpr (Plane < 8 / Bits) {
    const auto part = Chunk::template part<Bits, Plane>(bytes);
    for (int t = 0; t < Terms; ++t)
      sums[t] = Chunk::template add<Bits>(sums[t], part, query.planes + (t * n_planes + first + Plane) * query.stride + at);
    add_planes<Chunk, Bits, Terms, Plane + 1>(query, first, n_planes, at, bytes, sums);
  }
}

// The products with the entries of a section, terms put together.
template <class Chunk, int Bits, int Terms>
inline __attribute__((always_inline)) std::int64_t product_of(const RowQuery& query, int first, int n_planes, const std::uint8_t* section,
                                                              std::int64_t n_bytes) {
  typename Chunk::Sum sums[Terms];
  for (int t = 0; t < Terms; ++t) sums[t] = Chunk::zero();
  for (std::int64_t at = 0; at < n_bytes; at += Chunk::kBytes)
    add_planes<Chunk, Bits, Terms, 0>(query, first, n_planes, at, Chunk::load(section + at, n_bytes - at), sums);
  std::int64_t product = 0;
  for (int t = 0; t < Terms; ++t) product = product * 128 + Chunk::total(sums[t]);
  return product;
}

// Four rows of one term at a time: sums that do not wait for one another.
template <class Chunk, int Bits>
inline __attribute__((always_inline)) void four_products(const RowQuery& query, const std::uint8_t* rows, const std::uint32_t* positions,
                                                         std::int64_t* products) {
  typename Chunk::Sum sums[4][1];
  for (int i = 0; i < 4; ++i) {
    sums[i][0] = Chunk::zero();
    const std::uint8_t* row = rows + std::int64_t{positions[i]} * query.n_bytes;
    for (std::int64_t at = 0; at < query.n_bytes; at += Chunk::kBytes)
      add_planes<Chunk, Bits, 1, 0>(query, 0, 8 / Bits, at, Chunk::load(row + at, query.n_bytes - at), sums[i]);
  }
  std::int32_t totals[4];
  Chunk::totals(sums[0][0], sums[1][0], sums[2][0], sums[3][0], totals);
  std::copy_n(totals, 4, products);
}

template <class Chunk, int Bits, int Terms>
void products_of(const RowQuery& query, const std::uint8_t* rows, const std::uint32_t* positions, std::int64_t n,
                 std::int64_t* products) {
  const std::int64_t n_bytes = query.n_bytes;
  const std::int64_t less = Bits != 8 ? 0 : Chunk::kLess * (Terms == 1 ? query.sums[0] : 128 * query.sums[0] + query.sums[1]);
  const auto fetch = [&](std::int64_t i) {
    const std::uint8_t* row = rows + std::int64_t{positions[i]} * n_bytes;
    for (std::int64_t at = 0; at < n_bytes; at += 64) __builtin_prefetch(row + at);
    __builtin_prefetch(row + n_bytes - 1);
  };
  for (std::int64_t i = 0; i < std::min(kRowsAhead, n); ++i) fetch(i);
  std::int64_t done = 0;
  if constexpr (Terms == 1 && (Bits == 2 || Bits == 4))
    for (; done + 4 <= n; done += 4) {
      for (std::int64_t i = done + kRowsAhead; i < std::min(done + kRowsAhead + 4, n); ++i) fetch(i);
      four_products<Chunk, Bits>(query, rows, positions + done, products + done);
    }
  for (std::int64_t i = done; i < n; ++i) {
    if (i + kRowsAhead < n) fetch(i + kRowsAhead);
    const std::uint8_t* row = rows + std::int64_t{positions[i]} * n_bytes;
    if constexpr (Bits == 3) {  // a section of the upper bits, and one of two bits each
      constexpr int kUpper = 8, kPlanes = kUpper + 4;
      const std::int64_t n_upper = n_bytes / 3;
      products[i] = 4 * product_of<Chunk, 1, Terms>(query, 0, kPlanes, row, n_upper) +
                    product_of<Chunk, 2, Terms>(query, kUpper, kPlanes, row + n_upper, n_bytes - n_upper);
    } else {
      products[i] = less + product_of<Chunk, Bits, Terms>(query, 0, 8 / Bits, row, n_bytes);
    }
  }
}

template <class Chunk>
void row_products(const RowQuery& query, const std::uint8_t* rows, const std::uint32_t* positions, std::int64_t n,
                  std::int64_t* products) {
  const auto with_terms = [&]<int Bits>() {
    if (query.n_terms == 1) products_of<Chunk, Bits, 1>(query, rows, positions, n, products);
    else products_of<Chunk, Bits, 2>(query, rows, positions, n, products);
  };
  if (query.bits == 2) with_terms.template operator()<2>();
  else if (query.bits == 3) with_terms.template operator()<3>();
  else if (query.bits == 4) with_terms.template operator()<4>();
  else with_terms.template operator()<8>();
}

}  // namespace
