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
constexpr int kMostBlocks = 64;              // of a tile
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

// Bytes of a query's tables for some slices.
constexpr std::int64_t table_bytes(int n_slices) { return std::int64_t{16} * kHalves * n_slices; }

// Bytes between the tables of two queries, a constant where Slices is.
template <int Slices>
constexpr std::int64_t row_bytes(const ScanJob& job) {
  return table_bytes(Slices > 0 ? Slices : job.n_slices);
}

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

// Sums of Rows code queries for Blocks blocks, in bytes. A sum begins at 255 less the limit, so that it is cut off at
// 255 exactly where the limit is reached.
template <int Rows, int Blocks>
struct Sums {
  __m256i of[Rows][Blocks];

  // Adds n tables of each row, which lie a stride apart. Slices is their number in slices, 0 for any.
  template <int Slices>
  __attribute__((always_inline)) void add(const std::uint8_t* tables, std::int64_t stride, const Vector* const (&codes)[Blocks], int n) {
    const auto add_table = [&](int i) __attribute__((always_inline)) {
      __m256i halves[Blocks];
      for (int b = 0; b < Blocks; ++b) halves[b] = codes[b][i].value;
      for (int r = 0; r < Rows; ++r) {
        const __m256i table = table_at(tables + r * stride + 16 * i);
        for (int b = 0; b < Blocks; ++b) of[r][b] = _mm256_adds_epu8(of[r][b], _mm256_shuffle_epi8(table, halves[b]));
      }
    };
    constexpr int kAll = Slices * kHalves;
    if constexpr (0 < kAll && kAll <= 16) {  // a loop of two rounds takes half as long again
#pragma GCC unroll 16
      for (int i = 0; i < kAll; ++i) add_table(i);
    } else {
      const int total = kAll > 0 ? kAll : n;
#pragma GCC unroll 8
      for (int i = 0; i < total; ++i) add_table(i);
    }
  }
  __attribute__((always_inline)) bool any_below() const {
    __m256i all = of[0][0];
    for (int r = 0; r < Rows; ++r)
      for (int b = 0; b < Blocks; ++b) all = _mm256_and_si256(all, of[r][b]);
    return _mm256_testc_si256(all, _mm256_set1_epi8(-1)) == 0;
  }
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

// First halves of Rows code queries and Blocks blocks.
template <int Rows, int Blocks, int Slices>
inline __attribute__((always_inline)) void distances_near(const ScanJob& job, const std::uint8_t* tables, const Vector* starts,
                                                          const Tile& tile, int b0, Left<Vector>* left) {
  Sums<Rows, Blocks> sums;
  for (int r = 0; r < Rows; ++r)
    for (int b = 0; b < Blocks; ++b) sums.of[r][b] = _mm256_adds_epu8(tile.bytes(b0 + b), starts[r].value);
  const Vector* codes[Blocks];
  for (int b = 0; b < Blocks; ++b) codes[b] = tile.near_halves(b0 + b);
  sums.template add<near_slices_of(Slices)>(tables, row_bytes<Slices>(job), codes, tile.n_near() * kHalves);
  const __m256i full = _mm256_set1_epi8(-1);
  for (int r = 0; r < Rows; ++r)
    for (int b = 0; b < Blocks; ++b)
      left[r].set(b0 + b, {sums.of[r][b]}, _mm256_testc_si256(sums.of[r][b], full) == 0);
}

// Tells about the codes of a block whose sum was not cut off.
__attribute__((noinline)) inline void report_sums(const ScanJob& job, int query, std::int64_t block, __m256i sums, __m256i start) {
  const Avx2::Lanes lanes = unwoven(sums), from = unwoven(start);
  if (const std::uint32_t hits = Avx2::below(lanes, Avx2::splat(0x00FF00FFu)))
    report<Avx2>(job, query, block, hits, {_mm256_sub_epi16(lanes.low, from.low), _mm256_sub_epi16(lanes.high, from.high)});
}

// Second halves of what is left of a code query.
template <int Slices>
inline __attribute__((always_inline)) void distances_far(const ScanJob& job, int query, const std::uint8_t* tables, Vector& start, Tile& tile,
                          const Left<Vector>& left) {
  const int n_near = tile.n_near() * kHalves, n_far = job.n_slices * kHalves - n_near;
  const __m256i was = start.value;  // the sums began here; what is told on the way moves the limit
  for (std::uint64_t blocks = left.blocks; blocks != 0; blocks &= blocks - 1) {
    const int b = std::countr_zero(blocks);
    Sums<1, 1> sums = {{{left.sums[b].value}}};
    sums.add<Slices - near_slices_of(Slices)>(tables + 16 * n_near, 0, {tile.far_halves(b)}, n_far);
    if (!sums.any_below()) [[likely]]
      continue;
    report_sums(job, query, tile.block(b), sums.of[0][0], was);
  }
  start = start_for(job, query);
}

// Code queries whose limit fits no byte.
template <int Rows>
__attribute__((noinline)) void search_far_limits(const ScanJob& job, int query, Vector* starts, const Tile& tile, int n_blocks) {
  for (int r = 0; r < Rows; ++r) {
    for (int b = 0; b < n_blocks; ++b)
      if (!no_candidates(job, tile.block(b), 1)) hamming_tile<Avx2, 1, 1, 0>(job, query + r, tile.block(b), tile.start(b));
    starts[r] = start_for(job, query + r);
  }
}

template <int Rows, int Slices>
void search_distances(const ScanJob& job, int query, const std::uint8_t* tables, Vector* starts, Tile& tile, int n_blocks) {
  std::uint32_t limits = 0;
  for (int r = 0; r < Rows; ++r) limits |= job.limits[query + r];
  if ((limits & 0xFF00u) != 0) [[unlikely]]
    return search_far_limits<Rows>(job, query, starts, tile, n_blocks);
  Left<Vector> left[Rows];
  int b = 0;
  for (; b + 2 <= n_blocks; b += 2)
    if (!no_candidates(job, tile.block(b), 2)) distances_near<Rows, 2, Slices>(job, tables, starts, tile, b, left);
  if (b < n_blocks && !no_candidates(job, tile.block(b), 1)) distances_near<Rows, 1, Slices>(job, tables, starts, tile, b, left);
  for (int r = 0; r < Rows; ++r)
    distances_far<Slices>(job, query + r, tables + r * row_bytes<Slices>(job), starts[r], tile, left[r]);
}

// Adds the tables of n_slices slices to the sums of Rows queries of several planes, in 16 bits. The four
// tables of a slice are added up in bytes, and these to two sums: as they are, which puts the odd bytes in the upper
// half, and the odd ones alone.
template <int Rows, int Blocks, int Slices>
inline __attribute__((always_inline)) void add_values(const std::uint8_t* tables, std::int64_t stride, const Vector* const (&codes)[Blocks],
                                                      int n_slices, Avx2::Lanes (&sums)[Rows][Blocks]) {
  const int total = Slices > 0 ? Slices : n_slices;
  __m256i both[Rows][Blocks], odd[Rows][Blocks];
  for (int r = 0; r < Rows; ++r)
    for (int b = 0; b < Blocks; ++b) both[r][b] = odd[r][b] = _mm256_setzero_si256();
#pragma GCC unroll 2
  for (int s = 0; s < total; ++s) {
    __m256i bytes[Rows][Blocks];
    for (int half = 0; half < kHalves; ++half) {
      const int i = s * kHalves + half;
      __m256i halves[Blocks];
      for (int b = 0; b < Blocks; ++b) halves[b] = codes[b][i].value;
      for (int r = 0; r < Rows; ++r) {
        const __m256i table = table_at(tables + r * stride + 16 * i);
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

// First halves of Rows queries of several planes and Blocks blocks.
template <int Rows, int Blocks, int Slices>
inline __attribute__((always_inline)) void values_near(const ScanJob& job, int query, const std::uint8_t* tables, const Tile& tile,
                                                       int b0, Left<Avx2::Lanes>* left) {
  Avx2::Lanes sums[Rows][Blocks];
  for (int r = 0; r < Rows; ++r)
    for (int b = 0; b < Blocks; ++b)
      sums[r][b] = scaled_start<Avx2>(job, query + r, tile.block(b0 + b), tile.start(b0 + b).lanes[0]);
  const Vector* codes[Blocks];
  for (int b = 0; b < Blocks; ++b) codes[b] = tile.near_halves(b0 + b);
  add_values<Rows, Blocks, near_slices_of(Slices)>(tables, row_bytes<Slices>(job), codes, tile.n_near(), sums);
  for (int r = 0; r < Rows; ++r)
    for (int b = 0; b < Blocks; ++b)
      left[r].set(b0 + b, sums[r][b], Avx2::any_below(sums[r][b], Avx2::splat_value(job.limits[query + r])));
}

// Second halves of what is left of a query of several planes.
template <int Slices>
inline __attribute__((always_inline)) void values_far(const ScanJob& job, int query, const std::uint8_t* tables, Tile& tile, const Left<Avx2::Lanes>& left) {
  for (std::uint64_t blocks = left.blocks; blocks != 0; blocks &= blocks - 1) {
    const int b = std::countr_zero(blocks);
    Avx2::Lanes sums[1][1] = {{left.sums[b]}};
    add_values<1, 1, Slices - near_slices_of(Slices)>(tables + table_bytes(tile.n_near()), 0, {tile.far_halves(b)}, job.n_slices - tile.n_near(), sums);
    if (const std::uint32_t hits = Avx2::below(sums[0][0], Avx2::splat_value(job.limits[query]))) [[unlikely]]
      report<Avx2>(job, query, tile.block(b), hits, sums[0][0]);
  }
}

template <int Rows, int Slices>
void search_values(const ScanJob& job, int query, const std::uint8_t* tables, Tile& tile, int n_blocks) {
  Left<Avx2::Lanes> left[Rows];
  int b = 0;
  for (; b + 2 <= n_blocks; b += 2)
    if (!no_candidates(job, tile.block(b), 2)) values_near<Rows, 2, Slices>(job, query, tables, tile, b, left);
  if (b < n_blocks && !no_candidates(job, tile.block(b), 1)) values_near<Rows, 1, Slices>(job, query, tables, tile, b, left);
  for (int r = 0; r < Rows; ++r)
    values_far<Slices>(job, query + r, tables + r * row_bytes<Slices>(job), tile, left[r]);
}

// The queries from first to end - 1 against all blocks.
template <int Slices>
void scan_group(const ScanJob& job, int first, int end) {
  std::vector<Vector> room(static_cast<std::size_t>((end - first) * table_bytes(job.n_slices) / 32 + 1));
  auto* const bytes = reinterpret_cast<std::uint8_t*>(room.data());
  const auto tables = [&](int query) { return bytes + (query - first) * table_bytes(job.n_slices); };
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
    if (job.n_planes > 1) {
      for (; query + 2 <= end; query += 2) search_values<2, Slices>(job, query, tables(query), tile, n_blocks);
      for (; query < end; ++query) search_values<1, Slices>(job, query, tables(query), tile, n_blocks);
    } else {
      const auto start = [&](int q) { return &starts[static_cast<std::size_t>(q - first)]; };
      for (; query + 4 <= end; query += 4) search_distances<4, Slices>(job, query, tables(query), start(query), tile, n_blocks);
      for (; query < end; ++query) search_distances<1, Slices>(job, query, tables(query), start(query), tile, n_blocks);
    }
  }
}

// Groups of queries whose tables fit the cache.
template <int Slices>
void scan_groups(const ScanJob& job) {
  const int most = std::max(4, static_cast<int>(kTableBytes / table_bytes(job.n_slices)) / 4 * 4);
  for (int first = 0; first < job.n_queries; first += most) scan_group<Slices>(job, first, std::min(first + most, job.n_queries));
}

// Few code queries are cheaper to count than to look up.
void scan_by_tables(const ScanJob& job) {
  if (job.n_planes > kTablePlanes || (job.n_planes == 1 && job.n_queries < 4)) return scan<Avx2>(job);
  switch (job.n_slices) {
    case 4: return scan_groups<4>(job);
    case 8: return scan_groups<8>(job);
    case 16: return scan_groups<16>(job);
    case 32: return scan_groups<32>(job);
    default: return scan_groups<0>(job);
  }
}

}  // namespace
