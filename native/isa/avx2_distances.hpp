// Scans by look-up tables for code queries, two at a time.
//
// A sum is a byte, and begins at 255 less the limit, so that it is cut off at 255 exactly where the limit is reached.
// First halves are looked up for a pair of queries at once, second halves, where they are needed, for each alone.
#pragma once

#include "half_bytes.hpp"

namespace {

using Halves = Vector<HalfBytes>;
constexpr int kHalves = HalfBytes::kParts;
constexpr std::int64_t half_byte_tables(int n_slices) { return table_bytes<HalfBytes>(n_slices); }

constexpr int kTogether = 4;  // blocks whose first halves are looked up together

// Bytes of a pair of registers with 16 lanes each: even ones of the first 16 codes, odd ones of the others.
inline __m256i woven(Avx2::Lanes lanes) { return _mm256_or_si256(lanes.low, _mm256_slli_epi16(lanes.high, 8)); }
inline Avx2::Lanes unwoven(__m256i bytes) {
  return {_mm256_and_si256(bytes, _mm256_set1_epi16(255)), _mm256_srli_epi16(bytes, 8)};
}

// A tile with where its codes start.
class DistanceTile : public Tile<HalfBytes> {
 public:
  explicit DistanceTile(const ScanJob& job) : Tile<HalfBytes>(job), job_(job) {}

  void cut(std::int64_t first, int n) {
    Tile<HalfBytes>::cut(first, n);
    for (int b = 0; b < n; ++b) {
      start_[b] = start_of<Avx2, 1>(job_, first + b);
      const __m256i most = _mm256_set1_epi16(255);
      const Avx2::Lanes lanes = start_[b].lanes[0];
      bytes_[b].value = woven({_mm256_min_epu16(lanes.low, most), _mm256_min_epu16(lanes.high, most)});
    }
  }
  const Start<Avx2, 1>& start(int b) const { return start_[b]; }  // as the scan of lanes has it
  __m256i bytes(int b) const { return bytes_[b].value; }          // the same, woven, at most 255

 private:
  const ScanJob& job_;
  Start<Avx2, 1> start_[kMostUnits];
  Halves bytes_[kMostUnits];
};

// Where the sums of a query start. Of no use while the limit fits no byte.
inline Halves start_for(const ScanJob& job, int query) {
  return {_mm256_set1_epi8(static_cast<char>(255u - std::min(job.limits[query] & 0xFFFFu, 255u)))};
}
inline bool within_reach(__m256i sums) { return _mm256_testc_si256(sums, _mm256_set1_epi8(-1)) == 0; }

// Tables of some queries. The first halves have tables of a pair of queries, the first query in the lower half of each
// byte. The four of a slice add up to 16 at most, which does not fit: the last one stops at 3, and a query's rest has
// what is missing there. It is added to the few sums that stay below their limit without it.
class DistanceTables {
 public:
  DistanceTables(const ScanJob& job, int first, int end)
      : first_(first), n_near_(near_slices_of(job.n_slices)), pair_bytes_(half_byte_tables(n_near_)), far_bytes_(half_byte_tables(job.n_slices - n_near_)),
        rest_bytes_(16 * n_near_) {
    const int n = end - first, n_pairs = (n + 1) / 2;
    room_.resize(static_cast<std::size_t>((n_pairs * pair_bytes_ + n * (far_bytes_ + rest_bytes_)) / 32 + 1));
    pairs_ = reinterpret_cast<std::uint8_t*>(room_.data());
    rows_ = pairs_ + n_pairs * pair_bytes_;
    std::vector<Halves> single(static_cast<std::size_t>(pair_bytes_ / 32));
    auto* const near = reinterpret_cast<std::uint8_t*>(single.data());
    for (int query = first; query < end; ++query) {
      write_tables<HalfBytes>(job, query, n_near_, job.n_slices - n_near_, row(query));
      write_tables<HalfBytes>(job, query, 0, n_near_, near);
      write_near(query, near);
    }
  }

  const std::uint8_t* near(int query) const { return pairs_ + (query - first_) / 2 * pair_bytes_; }
  const std::uint8_t* far(int query) const { return row(query); }
  const std::uint8_t* rest(int query) const { return row(query) + far_bytes_; }

 private:
  std::uint8_t* row(int query) const { return rows_ + (query - first_) * (far_bytes_ + rest_bytes_); }

  void write_near(int query, const std::uint8_t* near) {
    auto* const pair = reinterpret_cast<__m128i*>(pairs_ + (query - first_) / 2 * pair_bytes_);
    auto* const rest = reinterpret_cast<__m128i*>(row(query) + far_bytes_);
    const bool is_second = (query - first_) % 2 == 1;
    for (int i = 0; i < n_near_ * kHalves; ++i) {
      __m128i table = _mm_load_si128(reinterpret_cast<const __m128i*>(near) + i);
      if (i % kHalves == kHalves - 1) {
        _mm_store_si128(rest + i / kHalves, _mm_subs_epu8(table, _mm_set1_epi8(3)));
        table = _mm_min_epu8(table, _mm_set1_epi8(3));
      }
      _mm_store_si128(pair + i, is_second ? _mm_or_si128(_mm_load_si128(pair + i), _mm_slli_epi16(table, 4)) : table);
    }
  }

  int first_, n_near_;
  std::int64_t pair_bytes_, far_bytes_, rest_bytes_;
  std::vector<Halves> room_;
  std::uint8_t* pairs_;
  std::uint8_t* rows_;
};

// First halves of a pair of queries and Blocks blocks.
template <int Blocks, int Slices>
inline __attribute__((always_inline)) void distances_near(const std::uint8_t* tables, const Halves* starts, const DistanceTile& tile, int b0,
                                                          Left<Halves>* left) {
  const int n_near = Slices > 0 ? near_slices_of(Slices) : tile.n_near();
  const __m256i low = _mm256_set1_epi8(15);
  const Halves* codes[Blocks];
  __m256i sums[2][Blocks];
  for (int b = 0; b < Blocks; ++b) {
    codes[b] = tile.near_parts(b0 + b);
    for (int r = 0; r < 2; ++r) sums[r][b] = _mm256_adds_epu8(tile.bytes(b0 + b), starts[r].value);
  }
  const auto add_slice = [&](int s) __attribute__((always_inline)) {
    __m256i both[Blocks];
    for (int half = 0; half < kHalves; ++half) {
      const int i = s * kHalves + half;
      const __m256i table = HalfBytes::table_at(tables + 16 * i);
      for (int b = 0; b < Blocks; ++b) {
        const __m256i found = _mm256_shuffle_epi8(table, codes[b][i].value);
        both[b] = half == 0 ? found : _mm256_add_epi8(both[b], found);
      }
    }
    for (int b = 0; b < Blocks; ++b) {
      sums[0][b] = _mm256_adds_epu8(sums[0][b], _mm256_and_si256(both[b], low));
      sums[1][b] = _mm256_adds_epu8(sums[1][b], _mm256_and_si256(_mm256_srli_epi16(both[b], 4), low));
    }
  };
#pragma GCC unroll 4
  for (int s = 0; s < n_near; ++s) add_slice(s);
  for (int r = 0; r < 2; ++r)
    for (int b = 0; b < Blocks; ++b) left[r].set(b0 + b, {sums[r][b]}, within_reach(sums[r][b]));
}

// Some tables of what is left of a query: two blocks at a time, the last of an odd number twice. Slices is the number of
// tables in slices, 0 for any.
template <int Slices>
inline __attribute__((always_inline)) void distances_far(const std::uint8_t* tables, int n, DistanceTile& tile, int offset, Left<Halves>& left) {
  const int total = Slices > 0 ? Slices * kHalves : n;
  std::uint64_t blocks = left.units;
  left.units = 0;
  while (blocks != 0) {
    const int a = std::countr_zero(blocks);
    blocks &= blocks - 1;
    const int b = blocks != 0 ? std::countr_zero(blocks) : a;
    blocks &= blocks - 1;
    const Halves *a_halves = tile.far_parts(a) + offset, *b_halves = tile.far_parts(b) + offset;
    __m256i a_sums = left.sums[a].value, b_sums = left.sums[b].value;
#pragma GCC unroll 16
    for (int i = 0; i < total; ++i) {
      const __m256i table = HalfBytes::table_at(tables + 16 * i);
      a_sums = _mm256_adds_epu8(a_sums, _mm256_shuffle_epi8(table, a_halves[i].value));
      b_sums = _mm256_adds_epu8(b_sums, _mm256_shuffle_epi8(table, b_halves[i].value));
    }
    left.set(a, {a_sums}, within_reach(a_sums));
    left.set(b, {b_sums}, within_reach(b_sums));
  }
}

// Tells about the codes of a block whose sum, with the rest, was not cut off.
__attribute__((noinline)) inline void report_sums(const ScanJob& job, int query, std::int64_t block, __m256i sums, __m256i start,
                                                  const std::uint8_t* rest, const Halves* near_parts) {
  for (int s = 0; s < near_slices_of(job.n_slices); ++s)
    sums = _mm256_adds_epu8(sums, _mm256_shuffle_epi8(HalfBytes::table_at(rest + 16 * s), near_parts[s * kHalves + kHalves - 1].value));
  const Avx2::Lanes lanes = unwoven(sums), from = unwoven(start);
  if (const std::uint32_t hits = Avx2::below(lanes, Avx2::splat(0x00FF00FFu)))
    report<Avx2>(job, query, block, hits, {_mm256_sub_epi16(lanes.low, from.low), _mm256_sub_epi16(lanes.high, from.high)});
}

// What the first halves have left of a query: the third quarters of the codes put half of it out of reach.
template <int Slices>
inline __attribute__((always_inline)) void search_left(const ScanJob& job, int query, const DistanceTables& tables, Halves& start, DistanceTile& tile,
                                                       Left<Halves>& left) {
  constexpr int kFar = Slices - near_slices_of(Slices), kThird = near_slices_of(kFar);
  const int n_far = job.n_slices - tile.n_near(), n_third = near_slices_of(n_far) * kHalves;
  const std::uint8_t* const far = tables.far(query);
  distances_far<kThird>(far, n_third, tile, 0, left);
  distances_far<kFar - kThird>(far + 16 * n_third, n_far * kHalves - n_third, tile, n_third, left);
  if (left.units == 0) return;
  const __m256i was = start.value;  // the sums began here; hits on the way move the limit
  for (; left.units != 0; left.units &= left.units - 1) {
    const int b = std::countr_zero(left.units);
    report_sums(job, query, tile.block(b), left.sums[b].value, was, tables.rest(query), tile.near_parts(b));
  }
  start = start_for(job, query);
}

// A query whose limit fits no byte.
__attribute__((noinline)) inline void search_far_limit(const ScanJob& job, int query, Halves& start, const DistanceTile& tile, int n_blocks) {
  for (int b = 0; b < n_blocks; ++b)
    if (!tile.has_none(b, 1)) hamming_tile<Avx2, 1, 1, 0>(job, query, tile.block(b), tile.start(b));
  start = start_for(job, query);
}

// A tile against a pair of queries, or against the last of an odd number.
template <int Slices>
void search_pair(const ScanJob& job, int query, int n_queries, const DistanceTables& tables, Halves* starts, DistanceTile& tile, int n_blocks) {
  std::uint32_t limits = 0;
  for (int r = 0; r < n_queries; ++r) limits |= job.limits[query + r];
  if ((limits & 0xFF00u) != 0) [[unlikely]] {
    for (int r = 0; r < n_queries; ++r) search_far_limit(job, query + r, starts[r], tile, n_blocks);
    return;
  }
  Left<Halves> left[2];
  int b = 0;
  for (; b + kTogether <= n_blocks; b += kTogether)
    if (!tile.has_none(b, kTogether)) distances_near<kTogether, Slices>(tables.near(query), starts, tile, b, left);
  for (; b < n_blocks; ++b)
    if (!tile.has_none(b, 1)) distances_near<1, Slices>(tables.near(query), starts, tile, b, left);
  for (int r = 0; r < n_queries; ++r) search_left<Slices>(job, query + r, tables, starts[r], tile, left[r]);
}

// The queries from first to end - 1 against all blocks.
template <int Slices>
void scan_group_distances(const ScanJob& job, int first, int end) {
  const DistanceTables tables(job, first, end);
  std::vector<Halves> starts;
  for (int query = first; query < end; ++query) starts.push_back(start_for(job, query));
  starts.push_back(starts.back());  // pairs with the last of an odd number
  DistanceTile tile(job);
  for (std::int64_t block = 0; block < job.n_blocks; block += tile.most_blocks()) {
    const int n_blocks = static_cast<int>(std::min<std::int64_t>(tile.most_blocks(), job.n_blocks - block));
    if (no_candidates(job, block, n_blocks)) continue;
    tile.cut(block, n_blocks);
    for (int query = first; query < end; query += 2)
      search_pair<Slices>(job, query, std::min(2, end - query), tables, &starts[static_cast<std::size_t>(query - first)], tile, n_blocks);
  }
}

}  // namespace
