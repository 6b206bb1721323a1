// Scans by look-up tables of the queries, for processors that count no bits in their vector registers.
//
// A table holds what half a byte of a code adds to the value of a query, for each of its 16 values: one shuffle
// looks up 32 codes. A code is cut into half bytes once for all queries, a tile of blocks at a time, and the
// tables take the planes of a query together.
#pragma once

#include <algorithm>
#include <bit>
#include <vector>

#include "avx2_lanes.hpp"
#include "scan.hpp"

namespace {

constexpr int kTablePlanes = 4;              // four bits at up to 15 each: the four tables of a slice fit a byte
constexpr int kHalves = 4;                   // half bytes of a slice
constexpr std::int64_t kTileBytes = 16384;   // first halves of a tile, cut into half bytes, to stay in the first-level cache
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

inline __m256i table_at(const std::uint8_t* table) {
  return _mm256_broadcastsi128_si256(_mm_load_si128(reinterpret_cast<const __m128i*>(table)));
}

// The tables of a query: of each slice the low and high half of its first byte, then of its second.
void write_tables(const ScanJob& job, int query, std::uint8_t* tables) {
  const std::uint32_t* planes = job.queries + std::int64_t{query} * job.n_planes * job.n_slices;
  for (int s = 0; s < job.n_slices; ++s)
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

// Where the sums of a code query start, see Sums. Of no use while the limit fits no byte.
inline Vector start_for(const ScanJob& job, int query) {
  return {_mm256_set1_epi8(static_cast<char>(255u - std::min(job.limits[query] & 0xFFFFu, 255u)))};
}

// Blocks cut into half bytes for many queries; their second halves when they are first needed.
class Tile {
 public:
  explicit Tile(const ScanJob& job)
      : job_(job), n_near_(near_slices_of(job.n_slices)), stride_(job.n_slices * kHalves),
        size_(static_cast<int>(std::clamp<std::int64_t>(kTileBytes / (n_near_ * kHalves * 64), 1, kMostBlocks / 2) * 2)),
        halves_(static_cast<std::size_t>(size_ * stride_)) {}

  int size() const { return size_; }
  void cut(std::int64_t block, int n) {
    first_ = block;
    for (int b = 0; b < n; ++b) {
      has_far_[b] = false;
      const std::uint16_t* words = job_.near + (block + b) * n_near_ * kBlock;
      for (int s = 0; s < n_near_; ++s) cut_slice(words + s * kBlock, halves_of(b) + s * kHalves);
      start_[b] = start_of<Avx2, 1>(job_, block + b);
      const __m256i most = _mm256_set1_epi16(255);
      const Avx2::Lanes lanes = start_[b].lanes[0];
      bytes_[b].value = woven({_mm256_min_epu16(lanes.low, most), _mm256_min_epu16(lanes.high, most)});
    }
  }
  void cut_far(int b) {
    if (has_far_[b]) return;
    has_far_[b] = true;
    const int n_far = job_.n_slices - n_near_;
    const std::uint16_t* words = job_.far + (first_ + b) * n_far * kBlock;
    for (int s = 0; s < n_far; ++s) cut_slice(words + s * kBlock, halves_of(b) + (n_near_ + s) * kHalves);
  }

  std::int64_t block(int b) const { return first_ + b; }
  int n_near() const { return n_near_; }
  const Vector* halves(int b) const { return halves_.data() + b * stride_; }
  const Start<Avx2, 1>& start(int b) const { return start_[b]; }  // as the scan of lanes has it
  __m256i bytes(int b) const { return bytes_[b].value; }                // the same, woven, at most 255

 private:
  static constexpr int kMostBlocks = 64;
  Vector* halves_of(int b) { return halves_.data() + b * stride_; }

  const ScanJob& job_;
  int n_near_, stride_, size_;
  std::vector<Vector> halves_;
  std::int64_t first_ = 0;
  bool has_far_[kMostBlocks];
  Start<Avx2, 1> start_[kMostBlocks];
  Vector bytes_[kMostBlocks];
};

// Sums of Rows code queries for Blocks blocks, in bytes. A sum begins at 255 less the limit, so that it is cut off at
// 255 exactly where the limit is reached.
template <int Rows, int Blocks>
struct Sums {
  __m256i of[Rows][Blocks];

  // Adds the tables from `begin` to `end` - 1.
  __attribute__((always_inline)) void add(const std::uint8_t* tables, int stride, const Tile& tile, int b0, int begin, int end) {
    for (int i = begin; i < end; ++i) {
      __m256i halves[Blocks];
      for (int b = 0; b < Blocks; ++b) halves[b] = tile.halves(b0 + b)[i].value;
      for (int r = 0; r < Rows; ++r) {
        const __m256i table = table_at(tables + 16 * (r * stride + i));
        for (int b = 0; b < Blocks; ++b) of[r][b] = _mm256_adds_epu8(of[r][b], _mm256_shuffle_epi8(table, halves[b]));
      }
    }
  }
  __attribute__((always_inline)) bool any_below() const {
    __m256i all = of[0][0];
    for (int r = 0; r < Rows; ++r)
      for (int b = 0; b < Blocks; ++b) all = _mm256_and_si256(all, of[r][b]);
    return _mm256_testc_si256(all, _mm256_set1_epi8(-1)) == 0;
  }
};

// Tells about the codes of a block whose sum was not cut off.
inline void report_sums(const ScanJob& job, int query, std::int64_t block, __m256i sums, __m256i start) {
  const Avx2::Lanes lanes = unwoven(sums), from = unwoven(start);
  if (const std::uint32_t hits = Avx2::below(lanes, Avx2::splat(0x00FF00FFu)))
    report<Avx2>(job, query, block, hits, {_mm256_sub_epi16(lanes.low, from.low), _mm256_sub_epi16(lanes.high, from.high)});
}

// The second halves of single blocks for single queries, out of line, so that the sums of the first halves stay in
// registers. The sum began at `was`, while what another block told may have moved `start` on.
__attribute__((noinline)) inline void finish_one(const ScanJob& job, int query, const std::uint8_t* tables, Tile& tile, int b,
                                                 Vector& start, __m256i was, __m256i near) {
  tile.cut_far(b);
  Sums<1, 1> sums = {{{near}}};
  sums.add(tables, 0, tile, b, tile.n_near() * kHalves, job.n_slices * kHalves);
  if (!sums.any_below()) return;
  report_sums(job, query, tile.block(b), sums.of[0][0], was);
  start = start_for(job, query);
}

// The second halves of all, which is cheaper where most are left.
template <int Rows, int Blocks>
__attribute__((noinline)) void finish_all(const ScanJob& job, int query, const std::uint8_t* tables, Tile& tile, int b0,
                                          Vector* starts, Vector (&near)[Rows][Blocks]) {
  for (int b = 0; b < Blocks; ++b) tile.cut_far(b0 + b);
  Sums<Rows, Blocks> sums;
  for (int r = 0; r < Rows; ++r)
    for (int b = 0; b < Blocks; ++b) sums.of[r][b] = near[r][b].value;
  sums.add(tables, job.n_slices * kHalves, tile, b0, tile.n_near() * kHalves, job.n_slices * kHalves);
  if (!sums.any_below()) return;
  for (int r = 0; r < Rows; ++r) {
    const __m256i start = starts[r].value;
    for (int b = 0; b < Blocks; ++b) report_sums(job, query + r, tile.block(b0 + b), sums.of[r][b], start);
    starts[r] = start_for(job, query + r);
  }
}

// Both, for what the first halves left.
template <int Rows, int Blocks>
__attribute__((noinline)) void finish(const ScanJob& job, int query, const std::uint8_t* tables, Tile& tile, int b0, Vector* starts,
                                      Vector (&near)[Rows][Blocks]) {
  const __m256i full = _mm256_set1_epi8(-1);
  std::uint32_t left = 0;
  for (int r = 0; r < Rows; ++r)
    for (int b = 0; b < Blocks; ++b)
      left |= static_cast<std::uint32_t>(_mm256_testc_si256(near[r][b].value, full) == 0) << (r * Blocks + b);
  if (3 * std::popcount(left) > Rows * Blocks) return finish_all<Rows, Blocks>(job, query, tables, tile, b0, starts, near);
  Vector was[Rows];
  for (int r = 0; r < Rows; ++r) was[r] = starts[r];
  for (; left != 0; left &= left - 1) {
    const int at = std::countr_zero(left), r = at / Blocks, b = at % Blocks;
    finish_one(job, query + r, tables + 16 * r * job.n_slices * kHalves, tile, b0 + b, starts[r],
               was[r].value, near[r][b].value);
  }
}

template <int Rows, int Blocks>
inline __attribute__((always_inline)) void distances_tile(const ScanJob& job, int query, const std::uint8_t* tables, Vector* starts,
                                                          Tile& tile, int b0) {
  std::uint32_t limits = 0;
  for (int r = 0; r < Rows; ++r) limits |= job.limits[query + r];
  if ((limits & 0xFF00u) != 0) [[unlikely]] {  // a limit fits no byte
    for (int r = 0; r < Rows; ++r) {
      for (int b = b0; b < b0 + Blocks; ++b) hamming_tile<Avx2, 1, 1, 0>(job, query + r, tile.block(b), tile.start(b));
      starts[r] = start_for(job, query + r);
    }
    return;
  }
  Sums<Rows, Blocks> sums;
  for (int r = 0; r < Rows; ++r)
    for (int b = 0; b < Blocks; ++b) sums.of[r][b] = _mm256_adds_epu8(tile.bytes(b0 + b), starts[r].value);
  sums.add(tables, job.n_slices * kHalves, tile, b0, 0, tile.n_near() * kHalves);
  if (!sums.any_below()) [[likely]]
    return;
  Vector near[Rows][Blocks];
  for (int r = 0; r < Rows; ++r)
    for (int b = 0; b < Blocks; ++b) near[r][b].value = sums.of[r][b];
  finish<Rows, Blocks>(job, query, tables, tile, b0, starts, near);
}

// Adds the tables from slice `begin` to `end` - 1 to the sums of Rows queries of several planes, in 16 bits. The four
// tables of a slice are added up in bytes, and these to two sums: as they are, which puts the odd bytes in the upper
// half, and the odd ones alone.
template <int Rows, int Blocks>
inline __attribute__((always_inline)) void add_values(const std::uint8_t* tables, int n_slices, const Tile& tile, int b0, int begin,
                                                      int end, Avx2::Lanes (&sums)[Rows][Blocks]) {
  __m256i both[Rows][Blocks], odd[Rows][Blocks];
  for (int r = 0; r < Rows; ++r)
    for (int b = 0; b < Blocks; ++b) both[r][b] = odd[r][b] = _mm256_setzero_si256();
  for (int i = begin * kHalves; i < end * kHalves; i += kHalves) {
    __m256i bytes[Rows][Blocks];
    for (int half = 0; half < kHalves; ++half) {
      __m256i halves[Blocks];
      for (int b = 0; b < Blocks; ++b) halves[b] = tile.halves(b0 + b)[i + half].value;
      for (int r = 0; r < Rows; ++r) {
        const __m256i table = table_at(tables + 16 * (r * n_slices * kHalves + i + half));
        for (int b = 0; b < Blocks; ++b) {
          const __m256i found = _mm256_shuffle_epi8(table, halves[b]);
          bytes[r][b] = half == 0 ? found : _mm256_add_epi8(bytes[r][b], found);
        }
      }
    }
    for (int r = 0; r < Rows; ++r)
      for (int b = 0; b < Blocks; ++b) {
        both[r][b] = _mm256_add_epi16(both[r][b], bytes[r][b]);
        odd[r][b] = _mm256_add_epi16(odd[r][b], _mm256_srli_epi16(bytes[r][b], 8));
      }
  }
  for (int r = 0; r < Rows; ++r)
    for (int b = 0; b < Blocks; ++b)
      sums[r][b] = Avx2::add(sums[r][b], {_mm256_sub_epi16(both[r][b], _mm256_slli_epi16(odd[r][b], 8)), odd[r][b]});
}

template <int Rows, int Blocks>
__attribute__((noinline)) void finish_values(const ScanJob& job, int query, const std::uint8_t* tables, Tile& tile, int b0,
                                             const Avx2::Lanes (&near)[Rows][Blocks]) {
  for (int b = 0; b < Blocks; ++b) tile.cut_far(b0 + b);
  Avx2::Lanes sums[Rows][Blocks];
  for (int r = 0; r < Rows; ++r)
    for (int b = 0; b < Blocks; ++b) sums[r][b] = near[r][b];
  add_values<Rows, Blocks>(tables, job.n_slices, tile, b0, tile.n_near(), job.n_slices, sums);
  Avx2::Mask masks[Rows][Blocks];
  if (any_below<Avx2, Rows, Blocks>(job, query, sums, masks))
    report_all<Avx2, Rows, Blocks>(job, query, tile.block(b0), sums, masks);
}

template <int Rows, int Blocks>
inline __attribute__((always_inline)) void values_tile(const ScanJob& job, int query, const std::uint8_t* tables, Tile& tile, int b0) {
  Avx2::Lanes sums[Rows][Blocks];
  Avx2::Mask masks[Rows][Blocks];
  for (int r = 0; r < Rows; ++r)
    for (int b = 0; b < Blocks; ++b)
      sums[r][b] = scaled_start<Avx2>(job, query + r, tile.block(b0 + b), tile.start(b0 + b).lanes[0]);
  add_values<Rows, Blocks>(tables, job.n_slices, tile, b0, 0, tile.n_near(), sums);
  if (!any_below<Avx2, Rows, Blocks>(job, query, sums, masks)) [[likely]]
    return;
  Avx2::Lanes near[Rows][Blocks];
  for (int r = 0; r < Rows; ++r)
    for (int b = 0; b < Blocks; ++b) near[r][b] = sums[r][b];
  finish_values<Rows, Blocks>(job, query, tables, tile, b0, near);
}

// Rows queries against all blocks of a tile.
template <int Rows>
void search_tile(const ScanJob& job, int query, const std::uint8_t* tables, Vector* starts, Tile& tile, int n_blocks) {
  const auto some = [&]<int Blocks>(int b) __attribute__((always_inline)) {
    if (no_candidates(job, tile.block(b), Blocks)) return;
    if (job.n_planes > 1) values_tile<Rows, Blocks>(job, query, tables, tile, b);
    else distances_tile<Rows, Blocks>(job, query, tables, starts, tile, b);
  };
  int b = 0;
  for (; b + 2 <= n_blocks; b += 2) some.template operator()<2>(b);
  if (b < n_blocks) some.template operator()<1>(b);
}

// The queries from first to end - 1 against all blocks.
void scan_group(const ScanJob& job, int first, int end) {
  const int table_bytes = 16 * kHalves * job.n_slices;
  std::vector<Vector> room(static_cast<std::size_t>((end - first) * table_bytes / 32 + 1));
  auto* const bytes = reinterpret_cast<std::uint8_t*>(room.data());
  const auto tables = [&](int query) { return bytes + (query - first) * table_bytes; };
  std::vector<Vector> starts;
  for (int query = first; query < end; ++query) {
    write_tables(job, query, tables(query));
    starts.push_back(start_for(job, query));
  }
  Tile tile(job);
  for (std::int64_t block = 0; block < job.n_blocks; block += tile.size()) {
    const int n_blocks = static_cast<int>(std::min<std::int64_t>(tile.size(), job.n_blocks - block));
    if (no_candidates(job, block, n_blocks)) continue;
    tile.cut(block, n_blocks);
    int query = first;
    if (job.n_planes > 1)
      for (; query + 2 <= end; query += 2) search_tile<2>(job, query, tables(query), &starts[static_cast<std::size_t>(query - first)], tile, n_blocks);
    else
      for (; query + 4 <= end; query += 4) search_tile<4>(job, query, tables(query), &starts[static_cast<std::size_t>(query - first)], tile, n_blocks);
    for (; query < end; ++query) search_tile<1>(job, query, tables(query), &starts[static_cast<std::size_t>(query - first)], tile, n_blocks);
  }
}

// Groups of queries whose tables fit the cache. Few code queries are cheaper to count than to look up.
void scan_by_tables(const ScanJob& job) {
  if (job.n_planes > kTablePlanes || (job.n_planes == 1 && job.n_queries < 4)) return scan<Avx2>(job);
  const int most = std::max(4, static_cast<int>(kTableBytes / (16 * kHalves * job.n_slices)) / 4 * 4);
  for (int first = 0; first < job.n_queries; first += most) scan_group(job, first, std::min(first + most, job.n_queries));
}

}  // namespace
