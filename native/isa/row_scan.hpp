// Rows of few bits in blocks of 32: which score enough for a query. Products are of integers, and each score is made from its
// product by the same operations in every instruction set.
//
// A `Chunk` as in row_products.hpp also provides:
//   at_least(scores, least)  a bit for each of 32 scores that is not smaller
//   write_keys(scores, positions, lanes, keys)  the keys of some of 32; writes up to kBeyondKeys behind them, returns how many
#pragma once

#include <bit>
#include <cstring>
#include <limits>

#include "../core/keys.hpp"
#include "row_products.hpp"

namespace {

using hashgnn::RowScan;

inline constexpr int kBlockRows = 32;
inline constexpr std::int64_t kBlocksAhead = 2;  // fetched before they are needed

// Sums of four rows that lie one after the other, of the sections from `first` on.
template <class Chunk, int Bits>
inline __attribute__((always_inline)) void four_sums(const RowQuery& query, int first, int n_planes, const std::uint8_t* section,
                                                     std::int64_t n_bytes, std::int32_t* products) {
  typename Chunk::Sum sums[4][1];
  for (int i = 0; i < 4; ++i) sums[i][0] = Chunk::zero();
  for (std::int64_t at = 0; at < n_bytes; at += Chunk::kBytes)
    for (int i = 0; i < 4; ++i)
      add_planes<Chunk, Bits, 1, 0>(query, first, n_planes, at, Chunk::load(section + i * query.n_bytes + at, n_bytes - at), sums[i]);
  Chunk::totals(sums[0][0], sums[1][0], sums[2][0], sums[3][0], products);
}

// Scores of the rows of a block, before the base. A row is not read where the four that it lies among have no lane.
template <class Chunk, int Bits>
inline __attribute__((always_inline)) void block_scores(const RowQuery& query, const RowScan& scan, const std::uint8_t* rows, std::uint32_t lanes,
                                                        float* scores) {
  const std::int64_t n_bytes = query.n_bytes;
  alignas(64) float factors[kBlockRows], products[kBlockRows];
  for (int i = 0; i < kBlockRows; ++i) std::memcpy(&factors[i], rows + (i + 1) * n_bytes - sizeof(float), sizeof(float));
  if constexpr (Bits == 8) {
    const std::int64_t whole = 255 * (128 * query.sums[0] + query.sums[1]), less = Chunk::kLess * (128 * query.sums[0] + query.sums[1]);
    for (int i = 0; i < kBlockRows; ++i) {
      const std::int64_t product = less + product_of<Chunk, 8, 2>(query, 0, 1, rows + i * n_bytes, n_bytes);
      products[i] = static_cast<float>(2 * product - whole);
    }
  } else {
    alignas(64) std::int32_t sums[kBlockRows], lower[kBlockRows];
    for (int i = 0; i < kBlockRows; i += 4) {
      if (((lanes >> i) & 15u) == 0) {
        std::memset(sums + i, 0, 4 * sizeof(std::int32_t));
        if (Bits == 3) std::memset(lower + i, 0, 4 * sizeof(std::int32_t));
        continue;
      }
      const std::uint8_t* four = rows + i * n_bytes;
      if constexpr (Bits == 3) {
        four_sums<Chunk, 1>(query, 0, 12, four, n_bytes / 3, sums + i);
        four_sums<Chunk, 2>(query, 8, 12, four + n_bytes / 3, n_bytes - n_bytes / 3, lower + i);
      } else {
        four_sums<Chunk, Bits>(query, 0, 8 / Bits, four, n_bytes, sums + i);
      }
    }
    const auto whole = static_cast<std::int32_t>(((1 << Bits) - 1) * query.sums[0]);
    for (int i = 0; i < kBlockRows; ++i) {
      const std::int32_t sum = Bits == 3 ? 4 * sums[i] + lower[i] : sums[i];
      products[i] = static_cast<float>(2 * sum - whole);
    }
  }
  for (int i = 0; i < kBlockRows; ++i) {
    const float score = scan.base + (factors[i] * scan.step) * products[i];
    scores[i] = score == score ? score : -std::numeric_limits<float>::infinity();  // a NaN goes last
  }
}

inline std::int64_t write_each_key(const float* scores, const std::int32_t* positions, std::uint32_t lanes, std::uint64_t* keys) {
  std::int64_t n = 0;
  for (std::uint32_t left = lanes; left != 0; left &= left - 1) {
    const int lane = std::countr_zero(left);
    keys[n++] = hashgnn::key_of({static_cast<std::uint32_t>(positions[lane]), scores[lane]});
  }
  return n;
}

// Fetches a block that is read later: of these, or of those that come next.
inline void fetch_block(const RowScan& scan, std::int64_t block, std::int64_t block_bytes) {
  const std::uint8_t* rows = scan.rows + block * block_bytes;
  if (block >= scan.n_blocks) {
    if (scan.next == nullptr) return;
    rows = scan.next + (block - scan.n_blocks) * block_bytes;
  }
  for (std::int64_t at = 0; at < block_bytes; at += 64) __builtin_prefetch(rows + at);
}

template <class Chunk, int Bits>
std::int64_t scan_blocks(const RowQuery& query, const RowScan& scan, std::uint64_t* keys) {
  const std::int64_t block_bytes = kBlockRows * query.n_bytes;
  std::int64_t n = 0;
  for (std::int64_t block = 0; block < scan.n_blocks; ++block) {
    const std::uint32_t lanes = scan.lanes[block];
    fetch_block(scan, block + kBlocksAhead, block_bytes);
    if (lanes == 0) continue;
    const std::int32_t* positions = scan.positions + block * kBlockRows;
    alignas(64) float scores[kBlockRows];
    block_scores<Chunk, Bits>(query, scan, scan.rows + block * block_bytes, lanes, scores);
    const std::uint32_t enough = lanes & Chunk::at_least(scores, scan.least);
    if (enough != 0) n += Chunk::write_keys(scores, positions, enough, keys + n);
  }
  return n;
}

// Writes the keys of the rows whose score is `least` or more.
template <class Chunk>
std::int64_t scan_rows(const RowQuery& query, const RowScan& scan, std::uint64_t* keys) {
  if (query.bits == 2) return scan_blocks<Chunk, 2>(query, scan, keys);
  if (query.bits == 3) return scan_blocks<Chunk, 3>(query, scan, keys);
  if (query.bits == 4) return scan_blocks<Chunk, 4>(query, scan, keys);
  return scan_blocks<Chunk, 8>(query, scan, keys);
}

}  // namespace
