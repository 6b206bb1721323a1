// Look-up tables of queries, for processors that count no bits in their vector registers.
//
// A table holds what half a byte of a code adds to the value of a query, for each of its 16 values: one shuffle
// looks up 32 codes. A code is cut into half bytes once for all queries, a tile of blocks at a time.
#pragma once

#include <algorithm>
#include <bit>
#include <vector>

#include "avx2_lanes.hpp"
#include "scan.hpp"

namespace {

constexpr int kHalves = 4;                   // half bytes of a slice
constexpr int kMostBlocks = 64;              // of a tile
constexpr std::int64_t kTileBytes = 32768;   // first halves of a tile, cut into half bytes: as large as a first-level cache
constexpr std::int64_t kTableBytes = 1 << 18;  // tables of a group of queries, to stay in the second-level cache

alignas(16) constexpr std::uint8_t kDistance[16][16] = {
    {0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4}, {1, 0, 2, 1, 2, 1, 3, 2, 2, 1, 3, 2, 3, 2, 4, 3},
    {1, 2, 0, 1, 2, 3, 1, 2, 2, 3, 1, 2, 3, 4, 2, 3}, {2, 1, 1, 0, 3, 2, 2, 1, 3, 2, 2, 1, 4, 3, 3, 2},
    {1, 2, 2, 3, 0, 1, 1, 2, 2, 3, 3, 4, 1, 2, 2, 3}, {2, 1, 3, 2, 1, 0, 2, 1, 3, 2, 4, 3, 2, 1, 3, 2},
    {2, 3, 1, 2, 1, 2, 0, 1, 3, 4, 2, 3, 2, 3, 1, 2}, {3, 2, 2, 1, 2, 1, 1, 0, 4, 3, 3, 2, 3, 2, 2, 1},
    {1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3}, {2, 1, 3, 2, 3, 2, 4, 3, 1, 0, 2, 1, 2, 1, 3, 2},
    {2, 3, 1, 2, 3, 4, 2, 3, 1, 2, 0, 1, 2, 3, 1, 2}, {3, 2, 2, 1, 4, 3, 3, 2, 2, 1, 1, 0, 3, 2, 2, 1},
    {2, 3, 3, 4, 1, 2, 2, 3, 1, 2, 2, 3, 0, 1, 1, 2}, {3, 2, 4, 3, 2, 1, 3, 2, 2, 1, 3, 2, 1, 0, 2, 1},
    {3, 4, 2, 3, 2, 3, 1, 2, 2, 3, 1, 2, 1, 2, 0, 1}, {4, 3, 3, 2, 3, 2, 2, 1, 3, 2, 2, 1, 2, 1, 1, 0}};

struct Vector {
  __m256i value;
};

// Bytes of a query's tables for some slices.
constexpr std::int64_t table_bytes(int n_slices) { return std::int64_t{16} * kHalves * n_slices; }

inline __m256i table_at(const std::uint8_t* table) {
  return _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(table)));
}

// Tables of a query for n slices from `first` on: of each slice the low and high half of its first byte, then of its
// second. They take the planes of a query together.
inline void write_tables(const ScanJob& job, int query, int first, int n, std::uint8_t* tables) {
  const std::uint32_t* planes = job.queries + std::int64_t{query} * job.n_planes * job.n_slices + first;
  for (int s = 0; s < n; ++s)
    for (int half = 0; half < kHalves; ++half) {
      __m128i sum = _mm_setzero_si128();
      for (int p = 0; p < job.n_planes; ++p) {
        const std::uint32_t bits = (planes[p * job.n_slices + s] >> (4 * half)) & 15u;
        sum = _mm_add_epi8(_mm_add_epi8(sum, sum), _mm_load_si128(reinterpret_cast<const __m128i*>(kDistance[bits])));
      }
      _mm_store_si128(reinterpret_cast<__m128i*>(tables + 16 * (s * kHalves + half)), sum);
    }
}

// Bytes of a pair of registers with 16 lanes each: even ones of the first 16 codes, odd ones of the others.
inline __m256i woven(Avx2::Lanes lanes) { return _mm256_or_si256(lanes.low, _mm256_slli_epi16(lanes.high, 8)); }
inline Avx2::Lanes unwoven(__m256i bytes) {
  return {_mm256_and_si256(bytes, _mm256_set1_epi16(255)), _mm256_srli_epi16(bytes, 8)};
}

// The half bytes of a slice of a block, woven.
inline void cut_slice(const std::uint16_t* words, Vector* halves) {
  const __m256i low = Avx2::read(words), high = Avx2::read(words + 16);
  const __m256i even = _mm256_set1_epi16(255), nibble = _mm256_set1_epi8(15);
  const __m256i first = _mm256_or_si256(_mm256_and_si256(low, even), _mm256_slli_epi16(high, 8));
  const __m256i second = _mm256_or_si256(_mm256_srli_epi16(low, 8), _mm256_andnot_si256(even, high));
  halves[0].value = _mm256_and_si256(first, nibble);
  halves[1].value = _mm256_and_si256(_mm256_srli_epi16(first, 4), nibble);
  halves[2].value = _mm256_and_si256(second, nibble);
  halves[3].value = _mm256_and_si256(_mm256_srli_epi16(second, 4), nibble);
}

// Blocks cut into half bytes for many queries; their second halves when they are first needed.
class Tile {
 public:
  explicit Tile(const ScanJob& job)
      : job_(job), n_near_(near_slices_of(job.n_slices)), n_far_(job.n_slices - n_near_),
        size_(static_cast<int>(std::clamp<std::int64_t>(kTileBytes / (n_near_ * kHalves * 64), 1, kMostBlocks / 2) * 2)),
        halves_(static_cast<std::size_t>(size_ * job.n_slices * kHalves)) {}

  int size() const { return size_; }
  void cut(std::int64_t block, int n) {
    first_ = block;
    for (int b = 0; b < n; ++b) {
      has_far_[b] = false;
      const std::uint16_t* words = job_.near + (block + b) * n_near_ * kBlock;
      for (int s = 0; s < n_near_; ++s) cut_slice(words + s * kBlock, near_of(b) + s * kHalves);
      start_[b] = start_of<Avx2, 1>(job_, block + b);
      const __m256i most = _mm256_set1_epi16(255);
      const Avx2::Lanes lanes = start_[b].lanes[0];
      bytes_[b].value = woven({_mm256_min_epu16(lanes.low, most), _mm256_min_epu16(lanes.high, most)});
    }
  }

  std::int64_t block(int b) const { return first_ + b; }
  int n_near() const { return n_near_; }
  const Vector* near_halves(int b) const { return halves_.data() + b * n_near_ * kHalves; }
  const Vector* far_halves(int b) {
    if (!has_far_[b]) cut_far(b);
    return far_of(b);
  }
  const Start<Avx2, 1>& start(int b) const { return start_[b]; }  // as the scan of lanes has it
  __m256i bytes(int b) const { return bytes_[b].value; }                // the same, woven, at most 255

 private:
  Vector* near_of(int b) { return halves_.data() + b * n_near_ * kHalves; }
  Vector* far_of(int b) { return halves_.data() + (size_ * n_near_ + b * n_far_) * kHalves; }
  __attribute__((noinline)) void cut_far(int b) {
    has_far_[b] = true;
    const std::uint16_t* words = job_.far + (first_ + b) * n_far_ * kBlock;
    for (int s = 0; s < n_far_; ++s) cut_slice(words + s * kBlock, far_of(b) + s * kHalves);
  }

  const ScanJob& job_;
  int n_near_, n_far_, size_;
  std::vector<Vector> halves_;  // first halves of all blocks, then second halves: neighbours share no cache set
  std::int64_t first_ = 0;
  bool has_far_[kMostBlocks];
  Start<Avx2, 1> start_[kMostBlocks];
  Vector bytes_[kMostBlocks];
};

// What the first halves of a tile leave of a query: the sums of all blocks, and a bit for each that has a code within
// reach. Bits and no branch a block, since no processor foresees which are left.
template <class Sum>
struct Left {
  Sum sums[kMostBlocks];
  std::uint64_t blocks = 0;

  __attribute__((always_inline)) void set(int b, Sum sum, bool within_reach) {
    sums[b] = sum;
    blocks |= std::uint64_t{within_reach} << b;
  }
};

}  // namespace
