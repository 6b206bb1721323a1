// Scans by look-up tables for queries of several planes.
#pragma once

#include "avx2_tables.hpp"

namespace {

constexpr int kTablePlanes = 4;  // four bits at up to 15 each: the four tables of a slice fit a byte

// Bytes between the tables of two queries, a constant where Slices is.
template <int Slices>
constexpr std::int64_t row_bytes(const ScanJob& job) {
  return table_bytes(Slices > 0 ? Slices : job.n_slices);
}

// Bytes added up in 16 bits by two sums: of the bytes as they are, which puts the odd ones in the upper half, and of
// the odd ones alone.
struct ByteSums {
  __m256i both = _mm256_setzero_si256(), odd = _mm256_setzero_si256();

  __attribute__((always_inline)) void add(__m256i bytes) {
    both = _mm256_add_epi16(both, bytes);
    odd = _mm256_add_epi16(odd, _mm256_srli_epi16(bytes, 8));
  }

  __attribute__((always_inline)) Avx2::Lanes onto(Avx2::Lanes sums) const {
    return Avx2::add(sums, {_mm256_sub_epi16(both, _mm256_slli_epi16(odd, 8)), odd});
  }
};

// Adds the tables of n_slices slices to the sums of Rows queries of several planes. The four tables of a slice are
// added up in bytes first.
template <int Rows, int Blocks, int Slices>
inline __attribute__((always_inline)) void add_values(const std::uint8_t* tables, std::int64_t stride, const Vector* const (&codes)[Blocks],
                                                      int n_slices, Avx2::Lanes (&sums)[Rows][Blocks]) {
  const int total = Slices > 0 ? Slices : n_slices;
  ByteSums found[Rows][Blocks];
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
          const __m256i looked_up = _mm256_shuffle_epi8(table, halves[b]);
          bytes[r][b] = half == 0 ? looked_up : _mm256_add_epi8(bytes[r][b], looked_up);
        }
      }
    }
    for (int r = 0; r < Rows; ++r)
      for (int b = 0; b < Blocks; ++b) found[r][b].add(bytes[r][b]);
  }
  for (int r = 0; r < Rows; ++r)
    for (int b = 0; b < Blocks; ++b) sums[r][b] = found[r][b].onto(sums[r][b]);
}

// First halves of Rows queries of several planes and Blocks blocks.
template <int Rows, int Blocks, int Slices>
inline __attribute__((always_inline)) void values_near(const ScanJob& job, int query, const std::uint8_t* tables, const Tile& tile,
                                                       int b0, Left<Avx2::Lanes>* left) {
  Avx2::Lanes sums[Rows][Blocks], limits[Rows];
  for (int r = 0; r < Rows; ++r) {
    const ScaledQuery<Avx2> asked(job, query + r);
    limits[r] = Avx2::splat_value(asked.near_limit(job.limits[query + r]));
    for (int b = 0; b < Blocks; ++b) sums[r][b] = asked.template start<Codes::some>(tile.block(b0 + b));
  }
  const Vector* codes[Blocks];
  for (int b = 0; b < Blocks; ++b) codes[b] = tile.near_halves(b0 + b);
  add_values<Rows, Blocks, near_slices_of(Slices)>(tables, row_bytes<Slices>(job), codes, tile.n_near(), sums);
  for (int r = 0; r < Rows; ++r)
    for (int b = 0; b < Blocks; ++b) left[r].set(b0 + b, sums[r][b], Avx2::any_below(sums[r][b], limits[r]));
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

// One query of several planes, whose codes are cut as they are read: a tile of them would serve no other query.
template <int Slices>
struct TableQuery {
  const std::uint8_t* tables;

  __attribute__((always_inline)) Avx2::Lanes add(const std::uint16_t* words, int n_slices, Avx2::Lanes sums) const {
    const int total = Slices > 0 ? Slices : n_slices;
    ByteSums found;
#pragma GCC unroll 8
    for (int s = 0; s < total; ++s) {
      Vector halves[kHalves];
      cut_slice(words + s * kBlock, halves);
      const std::uint8_t* const of_slice = tables + table_bytes(s);
      __m256i bytes = _mm256_shuffle_epi8(table_at(of_slice), halves[0].value);
      for (int half = 1; half < kHalves; ++half)
        bytes = _mm256_add_epi8(bytes, _mm256_shuffle_epi8(table_at(of_slice + 16 * half), halves[half].value));
      found.add(bytes);
    }
    return found.onto(sums);
  }
};

// What RunScan asks of a query, see scan.hpp.
template <int Slices>
class ValueQuery : public ScaledQuery<Avx2> {
 public:
  ValueQuery(const ScanJob& job, int query) : ScaledQuery<Avx2>(job, query), n_near_(near_slices_of(job.n_slices)) {
    write_tables(job, query, 0, job.n_slices, tables_);
  }

  TableQuery<near_slices_of(Slices)> near() const { return {tables_}; }
  TableQuery<Slices - near_slices_of(Slices)> far() const { return {tables_ + table_bytes(n_near_)}; }

 private:
  static constexpr int kMostSlices = Slices > 0 ? Slices : hashgnn::slices_of(hashgnn::kMaxBits);
  int n_near_;
  alignas(32) std::uint8_t tables_[table_bytes(kMostSlices)];
};

// The queries from first to end - 1 against all blocks.
template <int Slices>
void scan_group_values(const ScanJob& job, int first, int end) {
  std::vector<Vector> room(static_cast<std::size_t>((end - first) * table_bytes(job.n_slices) / 32 + 1));
  auto* const bytes = reinterpret_cast<std::uint8_t*>(room.data());
  const auto tables = [&](int query) { return bytes + (query - first) * table_bytes(job.n_slices); };
  for (int query = first; query < end; ++query) write_tables(job, query, 0, job.n_slices, tables(query));
  Tile tile(job);
  for (std::int64_t block = 0; block < job.n_blocks; block += tile.size()) {
    const int n_blocks = static_cast<int>(std::min<std::int64_t>(tile.size(), job.n_blocks - block));
    if (no_candidates(job, block, n_blocks)) continue;
    tile.cut(block, n_blocks);
    int query = first;
    for (; query + 2 <= end; query += 2) search_values<2, Slices>(job, query, tables(query), tile, n_blocks);
    for (; query < end; ++query) search_values<1, Slices>(job, query, tables(query), tile, n_blocks);
  }
}

}  // namespace
