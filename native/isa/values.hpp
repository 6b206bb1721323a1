// Scans of queries of several planes by look-up tables, see tables.hpp.
#pragma once

#include "tables.hpp"

namespace {

// Values of the codes of a unit.
template <class Cut>
struct Values {
  typename Cut::Isa::Lanes lanes[Cut::kBlocks];

  __attribute__((always_inline)) bool any_below(typename Cut::Isa::Lanes limit) const {
    bool any = false;
    for (const auto& of_block : lanes) any |= Cut::Isa::any_below(of_block, limit);
    return any;
  }
};

// Bytes added up in 16 bits by two sums: of the bytes as they are, which puts the odd ones in the upper half, and of
// the odd ones alone.
template <class Cut>
struct ByteSums {
  typename Cut::Bytes both = Cut::zero(), odd = Cut::zero();

  __attribute__((always_inline)) void add(typename Cut::Bytes bytes) {
    both = Cut::add_words(both, bytes);
    odd = Cut::add_words(odd, Cut::upper(bytes));
  }

  __attribute__((always_inline)) Values<Cut> onto(Values<Cut> sums) const {
    Values<Cut> found;
    Cut::lanes(Cut::sub_words(both, Cut::raised(odd)), odd, found.lanes);
    for (int b = 0; b < Cut::kBlocks; ++b) sums.lanes[b] = Cut::Isa::add(sums.lanes[b], found.lanes[b]);
    return sums;
  }
};

// Bytes between the tables of two queries, a constant where Slices is.
template <class Cut, int Slices>
constexpr std::int64_t row_bytes(const ScanJob& job) {
  return table_bytes<Cut>(Slices > 0 ? Slices : job.n_slices);
}

// Adds the tables of n_slices slices to the values of Rows queries. What the tables of a slice find is added up in
// bytes first.
template <class Cut, int Rows, int Units, int Slices>
inline __attribute__((always_inline)) void add_values(const std::uint8_t* tables, std::int64_t stride, const Vector<Cut>* const (&codes)[Units],
                                                      int n_slices, Values<Cut> (&sums)[Rows][Units]) {
  using Bytes = typename Cut::Bytes;
  const int total = Slices > 0 ? Slices : n_slices;
  ByteSums<Cut> found[Rows][Units];
#pragma GCC unroll 2
  for (int s = 0; s < total; ++s) {
    Bytes bytes[Rows][Units];
    for (int part = 0; part < Cut::kParts; ++part) {
      const int i = s * Cut::kParts + part;
      Bytes parts[Units];
      for (int u = 0; u < Units; ++u) parts[u] = codes[u][i].value;
      for (int r = 0; r < Rows; ++r) {
        const Bytes table = Cut::table_at(tables + r * stride + Cut::kEntries * i);
        for (int u = 0; u < Units; ++u) {
          const Bytes looked_up = Cut::look_up(table, parts[u]);
          bytes[r][u] = part == 0 ? looked_up : Cut::add_bytes(bytes[r][u], looked_up);
        }
      }
    }
    for (int r = 0; r < Rows; ++r)
      for (int u = 0; u < Units; ++u) found[r][u].add(bytes[r][u]);
  }
  for (int r = 0; r < Rows; ++r)
    for (int u = 0; u < Units; ++u) sums[r][u] = found[r][u].onto(sums[r][u]);
}

// First halves of Rows queries and Units units.
template <class Cut, Codes kCodes, int Rows, int Units, int Slices>
inline __attribute__((always_inline)) void values_near(const ScanJob& job, const ScaledQuery<typename Cut::Isa> (&asked)[Rows],
                                                       const typename Cut::Isa::Lanes (&limits)[Rows], const std::uint8_t* tables,
                                                       const Tile<Cut>& tile, int u0, Left<Values<Cut>>* left) {
  using Isa = typename Cut::Isa;
  if (kCodes == Codes::some && tile.has_none(u0, Units)) return;
  Values<Cut> sums[Rows][Units];
  for (int r = 0; r < Rows; ++r)
    for (int u = 0; u < Units; ++u)
      for (int b = 0; b < Cut::kBlocks; ++b) {
        const std::int64_t block = tile.block(u0 + u) + b;
        const bool exists = kCodes != Codes::some || Cut::kBlocks == 1 || block < job.n_blocks;
        sums[r][u].lanes[b] = exists ? asked[r].template start<kCodes>(block) : Isa::only(Isa::none(), 0);
      }
  const Vector<Cut>* codes[Units];
  for (int u = 0; u < Units; ++u) codes[u] = tile.near_parts(u0 + u);
  add_values<Cut, Rows, Units, near_slices_of(Slices)>(tables, row_bytes<Cut, Slices>(job), codes, tile.n_near(), sums);
  for (int r = 0; r < Rows; ++r)
    for (int u = 0; u < Units; ++u) left[r].set(u0 + u, sums[r][u], sums[r][u].any_below(limits[r]));
}

// Second halves of what is left of a query.
template <class Cut, int Slices>
inline __attribute__((always_inline)) void values_far(const ScanJob& job, int query, const std::uint8_t* tables, Tile<Cut>& tile,
                                                      const Left<Values<Cut>>& left) {
  using Isa = typename Cut::Isa;
  for (std::uint64_t units = left.units; units != 0; units &= units - 1) {
    const int u = std::countr_zero(units);
    Values<Cut> sums[1][1] = {{left.sums[u]}};
    add_values<Cut, 1, 1, Slices - near_slices_of(Slices)>(tables + table_bytes<Cut>(tile.n_near()), 0, {tile.far_parts(u)},
                                                           job.n_slices - tile.n_near(), sums);
    for (int b = 0; b < Cut::kBlocks; ++b)
      if (const std::uint32_t hits = Isa::bits(Isa::below(sums[0][0].lanes[b], Isa::splat_value(job.limits[query])))) [[unlikely]]
        report<Isa>(job, query, tile.block(u) + b, hits, sums[0][0].lanes[b]);
  }
}

// Queries from `query` on against a tile.
template <class Cut, Codes kCodes, int Rows, int Slices>
void search_values(const ScanJob& job, const ScaledQuery<typename Cut::Isa> (&asked)[Rows], int query, const std::uint8_t* tables,
                   Tile<Cut>& tile) {
  typename Cut::Isa::Lanes limits[Rows];
  for (int r = 0; r < Rows; ++r) limits[r] = Cut::Isa::splat_value(asked[r].near_limit(job.limits[query + r]));
  Left<Values<Cut>> left[Rows];
  int u = 0;
  for (; u + 2 <= tile.n_units(); u += 2) values_near<Cut, kCodes, Rows, 2, Slices>(job, asked, limits, tables, tile, u, left);
  if (u < tile.n_units()) [[unlikely]]
    values_near<Cut, Codes::some, Rows, 1, 0>(job, asked, limits, tables, tile, u, left);
  for (int r = 0; r < Rows; ++r)
    values_far<Cut, Slices>(job, query + r, tables + r * row_bytes<Cut, Slices>(job), tile, left[r]);
}

template <class Cut, Codes kCodes, int Slices>
void search_values(const ScanJob& job, int first, int end, const std::uint8_t* tables, Tile<Cut>& tile) {
  using Asked = ScaledQuery<typename Cut::Isa>;
  for (int query = first; query < end; query += 2, tables += 2 * row_bytes<Cut, Slices>(job)) {
    if (query + 1 < end)
      search_values<Cut, kCodes, 2, Slices>(job, {Asked(job, query), Asked(job, query + 1)}, query, tables, tile);
    else  // rare: no code of its own for every width
      search_values<Cut, Codes::some, 1, 0>(job, {Asked(job, query)}, query, tables, tile);
  }
}

// The queries from first to end - 1 against all blocks.
template <class Cut, int Slices>
void scan_group_values(const ScanJob& job, int first, int end) {
  std::vector<Vector<Cut>> room(static_cast<std::size_t>((end - first) * table_bytes<Cut>(job.n_slices)) / sizeof(Vector<Cut>) + 1);
  auto* const tables = reinterpret_cast<std::uint8_t*>(room.data());
  for (int query = first; query < end; ++query)
    write_tables<Cut>(job, query, 0, job.n_slices, tables + (query - first) * table_bytes<Cut>(job.n_slices));
  Tile<Cut> tile(job);
  for (std::int64_t block = 0; block < job.n_blocks; block += tile.most_blocks()) {
    const int n_blocks = static_cast<int>(std::min<std::int64_t>(tile.most_blocks(), job.n_blocks - block));
    if (no_candidates(job, block, n_blocks)) continue;
    tile.cut(block, n_blocks);
    if (job.candidates != nullptr || block + n_blocks == job.n_blocks)  // the last block may hold fewer codes
      search_values<Cut, Codes::some, Slices>(job, first, end, tables, tile);
    else if (job.penalty != nullptr)
      search_values<Cut, Codes::all_biased, Slices>(job, first, end, tables, tile);
    else
      search_values<Cut, Codes::all, Slices>(job, first, end, tables, tile);
  }
}

// Queries of up to kTablePlanes planes against all blocks.
template <class Cut>
void scan_values(const ScanJob& job) {
  with_slices(job.n_slices, [&]<int Slices>() {
    for_groups<Cut>(job, [&](int first, int end) { scan_group_values<Cut, Slices>(job, first, end); });
  });
}

}  // namespace
