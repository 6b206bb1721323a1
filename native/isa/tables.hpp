// Look-up tables of queries, written once over how codes are cut.
//
// A table holds what some neighbouring bits of a code add to the value of a query, for each of their values: one
// instruction looks up as many codes as a register has bytes. Codes are cut into such bits once for all queries, a tile
// at a time. A `Cut` provides:
//   Isa       the lanes of 16 bits that values end in, see scan.hpp
//   Bytes     a register;               zero(), add_bytes(a, b), add_words(a, b), sub_words(a, b), upper(a), raised(a)
//   kBlocks   blocks side by side in a register: even bytes belong to the first half of their codes, odd ones to the second
//   kParts    parts of a slice;         cut(words, apart, parts): words of the two halves lie `apart`
//   kEntries  bytes of a table;         write_table(planes, n_planes, stride, part, table), table_at(table),
//                                       look_up(table, part)
//   lanes(even, odd, out)               words of the even and of the odd bytes as lanes of each block
#pragma once

#include <algorithm>
#include <bit>
#include <vector>

#include "scan.hpp"

namespace {

constexpr int kMostUnits = 64;               // of a tile
constexpr std::int64_t kTileBytes = 32768;   // first halves of a tile, cut: as large as a first-level cache
constexpr std::int64_t kTableBytes = 1 << 18;  // tables of a group of queries, to stay in the second-level cache
constexpr int kTablePlanes = 4;              // four bits at up to 15 each: what the tables of a slice add up to fits a byte

template <class Cut>
struct Vector {
  typename Cut::Bytes value;
};

// Bytes of a query's tables for some slices.
template <class Cut>
constexpr std::int64_t table_bytes(int n_slices) { return std::int64_t{Cut::kEntries} * Cut::kParts * n_slices; }

// Calls `work` with the first and the end of each group of queries whose tables are kept at a time.
template <class Cut, class Work>
void for_groups(const ScanJob& job, Work work) {
  const int most = std::max(4, static_cast<int>(kTableBytes / table_bytes<Cut>(job.n_slices)) / 4 * 4);
  for (int first = 0; first < job.n_queries; first += most) work(first, std::min(first + most, job.n_queries));
}

// Tables of a query for n slices from `first` on. They take the planes of a query together.
template <class Cut>
void write_tables(const ScanJob& job, int query, int first, int n, std::uint8_t* tables) {
  const std::uint32_t* planes = job.queries + std::int64_t{query} * job.n_planes * job.n_slices + first;
  for (int s = 0; s < n; ++s)
    for (int part = 0; part < Cut::kParts; ++part)
      Cut::write_table(planes + s, job.n_planes, job.n_slices, part, tables + Cut::kEntries * (s * Cut::kParts + part));
}

// Blocks cut for many queries, a unit of Cut::kBlocks at a time; their second halves when they are first needed.
template <class Cut>
class Tile {
 public:
  explicit Tile(const ScanJob& job)
      : job_(job), n_near_(near_slices_of(job.n_slices)), n_far_(job.n_slices - n_near_),
        size_(static_cast<int>(std::clamp<std::int64_t>(kTileBytes / (n_near_ * kUnitBytes), 1, kMostUnits / 2) * 2)),
        parts_(static_cast<std::size_t>(size_ * job.n_slices * Cut::kParts)) {}

  int most_blocks() const { return size_ * Cut::kBlocks; }
  void cut(std::int64_t block, int n_blocks) {
    first_ = block;
    n_units_ = (n_blocks + Cut::kBlocks - 1) / Cut::kBlocks;
    for (int u = 0; u < n_units_; ++u) {
      has_far_[u] = false;
      cut_slices(job_.near, n_near_, u, near_of(u));
    }
  }

  int n_units() const { return n_units_; }
  std::int64_t block(int u) const { return first_ + u * Cut::kBlocks; }
  int n_near() const { return n_near_; }
  const Vector<Cut>* near_parts(int u) const { return parts_.data() + u * n_near_ * Cut::kParts; }
  const Vector<Cut>* far_parts(int u) {
    if (!has_far_[u]) cut_far(u);
    return far_of(u);
  }
  // Whether neither a filter nor the end of the run leaves a candidate.
  bool has_none(int u, int n_units) const {
    return no_candidates(job_, block(u), static_cast<int>(std::min<std::int64_t>(n_units * Cut::kBlocks, job_.n_blocks - block(u))));
  }

 private:
  static constexpr std::int64_t kUnitBytes = Cut::kParts * static_cast<int>(sizeof(Vector<Cut>));

  Vector<Cut>* near_of(int u) { return parts_.data() + u * n_near_ * Cut::kParts; }
  Vector<Cut>* far_of(int u) { return parts_.data() + (size_ * n_near_ + u * n_far_) * Cut::kParts; }
  // The last unit of a run may lack blocks: it has its first one in their place.
  void cut_slices(const std::uint16_t* halves, int n, int u, Vector<Cut>* out) const {
    const std::uint16_t* words = halves + block(u) * n * kBlock;
    const std::int64_t apart = block(u) + Cut::kBlocks <= job_.n_blocks ? n * kBlock : 0;
    for (int s = 0; s < n; ++s) Cut::cut(words + s * kBlock, apart, out + s * Cut::kParts);
  }
  __attribute__((noinline)) void cut_far(int u) {
    has_far_[u] = true;
    cut_slices(job_.far, n_far_, u, far_of(u));
  }

  const ScanJob& job_;
  int n_near_, n_far_, size_;
  std::vector<Vector<Cut>> parts_;  // first halves of all units, then second halves: neighbours share no cache set
  std::int64_t first_ = 0;
  int n_units_ = 0;
  bool has_far_[kMostUnits];
};

// What the first halves of a tile leave of a query: the sums of all units, and a bit for each that has a code within
// reach. Bits and no branch a unit, since no processor foresees which are left.
template <class Sum>
struct Left {
  Sum sums[kMostUnits];
  std::uint64_t units = 0;

  __attribute__((always_inline)) void set(int u, Sum sum, bool within_reach) {
    sums[u] = sum;
    units |= std::uint64_t{within_reach} << u;
  }
};

}  // namespace
