// The scan, written once over the vector operations of an instruction set.
//
// An `Isa` provides, for 32 lanes at a time:
//   Row      a slice of a block;            load(words), splat(query word)
//   Count    sums of differing bits;        start(lanes), count(sum, row, row)
//   Lanes    32 values of 16 bits;          none(), finish(lanes, count), add(a, b), twice(a), penalties(bytes),
//                                           scaled(lanes, scale), only(lanes, candidates), splat_value(word),
//                                           below(a, b), any_below(a, b), store(values, lanes)
//   kMaxRun  slices that a Count can hold before it must be added to lanes
//   kRows, kBlocks: queries and blocks of a tile, what fits its registers
// Everything here is in an unnamed namespace: each instruction set gets its own copy, and the linker can
// never take the copy of one for another.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <span>
#include <vector>

#include "../core/kernels.hpp"
#include "../core/layout.hpp"

namespace {

using hashgnn::kBlock;
using hashgnn::near_slices_of;
using hashgnn::ScanJob;

// Values that codes start from before any bit is compared: their bias, or out of reach for no candidate.
template <class Isa, int Blocks>
struct Start {
  typename Isa::Lanes lanes[Blocks];
};

// Adds the distances of Rows queries, `stride` words apart, to Blocks blocks over some slices.
// Slices is their number, 0 for any.
template <class Isa, int Rows, int Blocks, int Slices>
inline __attribute__((always_inline)) void add_distances(const std::uint16_t* words, int n_slices,
                                                         const std::uint32_t* queries, int stride,
                                                         typename Isa::Lanes (&sums)[Rows][Blocks]) {
  const int total = Slices > 0 ? Slices : n_slices;
  for (int begin = 0; begin < total; begin += Isa::kMaxRun) {
    const int end = std::min(total, begin + Isa::kMaxRun);
    typename Isa::Count counts[Rows][Blocks];
    for (int r = 0; r < Rows; ++r)
      for (int b = 0; b < Blocks; ++b) counts[r][b] = Isa::start(sums[r][b]);
    for (int s = begin; s < end; ++s) {
      typename Isa::Row codes[Blocks];
      for (int b = 0; b < Blocks; ++b) codes[b] = Isa::load(words + (b * total + s) * kBlock);
      for (int r = 0; r < Rows; ++r) {
        const typename Isa::Row query = Isa::splat(queries[r * stride + s]);
        for (int b = 0; b < Blocks; ++b) counts[r][b] = Isa::count(counts[r][b], codes[b], query);
      }
    }
    for (int r = 0; r < Rows; ++r)
      for (int b = 0; b < Blocks; ++b) sums[r][b] = Isa::finish(sums[r][b], counts[r][b]);
  }
}

// Tells the collector about the lanes below the limit. Kept out of line: it is rare.
template <class Isa>
__attribute__((noinline)) void report(const ScanJob& job, int query, std::int64_t block, std::uint32_t lanes,
                                      typename Isa::Lanes sums) {
  alignas(64) std::uint16_t values[kBlock];
  Isa::store(values, sums);
  job.hit(job.context, query, job.first_block + block, lanes, values);
}

// Whether any code is below the limit of its query.
template <class Isa, int Rows, int Blocks>
inline __attribute__((always_inline)) bool any_below(const ScanJob& job, int query,
                                                     const typename Isa::Lanes (&sums)[Rows][Blocks],
                                                     typename Isa::Mask (&masks)[Rows][Blocks]) {
  for (int r = 0; r < Rows; ++r) {
    const typename Isa::Lanes limit = Isa::splat_value(job.limits[query + r]);
    for (int b = 0; b < Blocks; ++b) masks[r][b] = Isa::below(sums[r][b], limit);
  }
  typename Isa::Mask any = masks[0][0];
  for (int r = 0; r < Rows; ++r)
    for (int b = 0; b < Blocks; ++b) any = Isa::either(any, masks[r][b]);
  return !Isa::is_empty(any);
}

template <class Isa, int Rows, int Blocks>
inline __attribute__((always_inline)) void report_all(const ScanJob& job, int query, std::int64_t block,
                                                      const typename Isa::Lanes (&sums)[Rows][Blocks],
                                                      const typename Isa::Mask (&masks)[Rows][Blocks]) {
  for (int r = 0; r < Rows; ++r)
    for (int b = 0; b < Blocks; ++b)
      if (const std::uint32_t lanes = Isa::bits(masks[r][b])) report<Isa>(job, query + r, block + b, lanes, sums[r][b]);
}

// The second halves of the codes are compared only where the first halves leave one below its limit.
template <class Isa, int Rows, int Blocks, int Slices>
inline __attribute__((always_inline)) void hamming_tile(const ScanJob& job, int query, std::int64_t block,
                                                        const Start<Isa, Blocks>& start) {
  constexpr int kNear = near_slices_of(Slices), kFar = Slices - kNear;
  const int n_slices = Slices > 0 ? Slices : job.n_slices;
  const int n_near = near_slices_of(n_slices), n_far = n_slices - n_near;
  const std::uint32_t* queries = job.queries + std::int64_t{query} * n_slices;
  typename Isa::Lanes sums[Rows][Blocks];
  typename Isa::Mask masks[Rows][Blocks];
  for (int r = 0; r < Rows; ++r)
    for (int b = 0; b < Blocks; ++b) sums[r][b] = start.lanes[b];
  add_distances<Isa, Rows, Blocks, kNear>(job.near + block * n_near * kBlock, n_near, queries, n_slices, sums);
  if (!any_below<Isa, Rows, Blocks>(job, query, sums, masks)) [[likely]]
    return;
  add_distances<Isa, Rows, Blocks, kFar>(job.far + block * n_far * kBlock, n_far, queries + n_near, n_slices, sums);
  if (any_below<Isa, Rows, Blocks>(job, query, sums, masks)) report_all<Isa, Rows, Blocks>(job, query, block, sums, masks);
}

template <class Isa, int Blocks>
inline Start<Isa, Blocks> start_of(const ScanJob& job, std::int64_t block) {
  Start<Isa, Blocks> start;
  for (int b = 0; b < Blocks; ++b) {
    start.lanes[b] = job.penalty == nullptr ? Isa::none() : Isa::penalties(job.penalty + (block + b) * kBlock);
    if (block + b + 1 == job.n_blocks)
      start.lanes[b] = Isa::only(start.lanes[b], job.last_candidates);
    else if (job.candidates != nullptr)
      start.lanes[b] = Isa::only(start.lanes[b], job.candidates[block + b]);
  }
  return start;
}

inline bool no_candidates(const ScanJob& job, std::int64_t block, int n_blocks) {
  if (job.candidates == nullptr) return false;
  for (int b = 0; b < n_blocks; ++b)
    if (job.candidates[block + b] != 0) return false;
  return true;
}

// All code queries against Blocks blocks at a time; returns the first block that is left.
template <class Isa, int Rows, int Blocks, int Slices>
std::int64_t scan_blocks(const ScanJob& job, std::int64_t block) {
  for (; block + Blocks <= job.n_blocks; block += Blocks) {
    if (no_candidates(job, block, Blocks)) continue;
    const Start<Isa, Blocks> start = start_of<Isa, Blocks>(job, block);
    int query = 0;
    for (; query + Rows <= job.n_queries; query += Rows) hamming_tile<Isa, Rows, Blocks, Slices>(job, query, block, start);
    for (; query < job.n_queries; ++query) hamming_tile<Isa, 1, Blocks, Slices>(job, query, block, start);
  }
  return block;
}

// The slices of one code query, spread over the lanes once for a run of blocks, where their number is known and small.
template <class Isa, int Slices>
struct SpreadQuery {
  static constexpr bool kIsSpread = 0 < Slices && Slices <= 8 && Slices <= Isa::kMaxRun;
  explicit SpreadQuery(const std::uint32_t* words) : words_(words) {
    if constexpr (kIsSpread)
      for (int s = 0; s < Slices; ++s) rows_[s] = Isa::splat(words[s]);
  }
  __attribute__((always_inline)) typename Isa::Lanes add(const std::uint16_t* block, int n_slices, typename Isa::Lanes sums) const {
    if constexpr (kIsSpread) {
      typename Isa::Count counts = Isa::start(sums);
#pragma GCC unroll 8
      for (int s = 0; s < Slices; ++s) counts = Isa::count(counts, Isa::load(block + s * kBlock), rows_[s]);
      return Isa::finish(sums, counts);
    } else {
      typename Isa::Lanes all[1][1] = {{sums}};
      add_distances<Isa, 1, 1, Slices>(block, n_slices, words_, n_slices, all);
      return all[0][0];
    }
  }

 private:
  const std::uint32_t* words_;
  typename Isa::Row rows_[kIsSpread ? Slices : 1];
};

enum class Codes { all, all_biased, some };  // all are candidates, without or with penalties, or some are, either way

// The interface of a query in a scan by runs: what adds the values of its first and of its second slices, where codes start, and
// below which limit their first halves have to be.
template <class Isa, int Slices>
class CodeQuery {
 public:
  CodeQuery(const ScanJob& job, int query)
      : job_(job), words_(job.queries + std::int64_t{query} * job.n_slices), n_near_(near_slices_of(job.n_slices)) {}

  SpreadQuery<Isa, near_slices_of(Slices)> near() const { return SpreadQuery<Isa, near_slices_of(Slices)>(words_); }
  SpreadQuery<Isa, Slices - near_slices_of(Slices)> far() const {
    return SpreadQuery<Isa, Slices - near_slices_of(Slices)>(words_ + (Slices > 0 ? near_slices_of(Slices) : n_near_));
  }
  template <Codes kCodes>
  __attribute__((always_inline)) typename Isa::Lanes start(std::int64_t block) const {
    if constexpr (kCodes == Codes::all) return Isa::none();
    else if constexpr (kCodes == Codes::all_biased) return Isa::penalties(job_.penalty + block * kBlock);
    else return start_of<Isa, 1>(job_, block).lanes[0];
  }
  std::uint32_t near_limit(std::uint32_t limit) const { return limit; }

 private:
  const ScanJob& job_;
  const std::uint32_t* words_;
  int n_near_;
};

// Some slices of a query of several planes.
template <class Isa, int Slices>
struct PlaneSums {
  const std::uint32_t* planes;
  int n_planes, stride;

  // Most significant plane first: the sum doubles from plane to plane.
  __attribute__((always_inline)) typename Isa::Lanes add(const std::uint16_t* block, int n_slices, typename Isa::Lanes total) const {
    typename Isa::Lanes sums[1][1] = {{Isa::none()}};
    for (int p = 0; p < n_planes; ++p) {
      sums[0][0] = Isa::twice(sums[0][0]);
      add_distances<Isa, 1, 1, Slices>(block, n_slices, planes + p * stride, 0, sums);
    }
    return Isa::add(total, sums[0][0]);
  }
};

// Where codes start for a query of several planes, and how near their first halves have to be.
template <class Isa>
class ScaledQuery {
 public:
  ScaledQuery(const ScanJob& job, int query)
      : job_(job), scale_(job.penalty_scale == nullptr ? kUnscaled : job.penalty_scale[query]),
        least_far_(job.least_far == nullptr ? 0u : job.least_far[query]) {}

  template <Codes kCodes>
  __attribute__((always_inline)) typename Isa::Lanes start(std::int64_t block) const {
    if constexpr (kCodes == Codes::all) return Isa::none();
    const typename Isa::Lanes bias = job_.penalty == nullptr ? Isa::none() : Isa::penalties(job_.penalty + block * kBlock);
    const typename Isa::Lanes scaled = scale_ == kUnscaled ? bias : Isa::scaled(bias, scale_);
    if constexpr (kCodes == Codes::all_biased) return scaled;
    if (block + 1 == job_.n_blocks) return Isa::only(scaled, job_.last_candidates);
    return job_.candidates == nullptr ? scaled : Isa::only(scaled, job_.candidates[block]);
  }
  // Second halves add something to every code: to each bit the lesser of what its two values add.
  std::uint32_t near_limit(std::uint32_t limit) const {
    const std::uint32_t once = limit & 0xFFFFu;
    return (once - std::min(once, least_far_)) * 0x00010001u;
  }

 private:
  static constexpr std::uint16_t kUnscaled = 256;  // times 256 / 256 is the penalty itself
  const ScanJob& job_;
  std::uint16_t scale_;
  std::uint32_t least_far_;
};

// A query of several planes, whose bits are counted plane by plane.
template <class Isa, int Slices>
class PlanesQuery : public ScaledQuery<Isa> {
 public:
  PlanesQuery(const ScanJob& job, int query)
      : ScaledQuery<Isa>(job, query), planes_(job.queries + std::int64_t{query} * job.n_planes * job.n_slices),
        n_planes_(job.n_planes), n_slices_(job.n_slices) {}

  PlaneSums<Isa, near_slices_of(Slices)> near() const { return {planes_, n_planes_, n_slices_}; }
  PlaneSums<Isa, Slices - near_slices_of(Slices)> far() const {
    return {planes_ + near_slices_of(n_slices_), n_planes_, n_slices_};
  }

 private:
  const std::uint32_t* planes_;
  int n_planes_, n_slices_;
};

// What becomes of the codes of a block below the limit: the collector is told, and may lower it.
template <class Isa>
struct Reporter {
  __attribute__((always_inline)) void take(const ScanJob& job, int query, std::int64_t block, typename Isa::Lanes sums,
                                           typename Isa::Lanes& limit) const {
    if (!Isa::any_below(sums, limit)) [[likely]]
      return;
    report<Isa>(job, query, block, Isa::bits(Isa::below(sums, limit)), sums);
    limit = Isa::splat_value(job.limits[query]);
  }
};

// Or they are written down, without a branch where the instruction set can.
struct Written {
  std::uint32_t* ids;
  std::uint16_t* values;
  std::int64_t n = 0;
};

template <class Isa>
struct Writer {
  Written* to;
  __attribute__((always_inline)) void take(const ScanJob& job, int, std::int64_t block, typename Isa::Lanes sums,
                                           typename Isa::Lanes& limit) const {
    const auto first = static_cast<std::uint32_t>((job.first_block + block) * kBlock);
    std::uint32_t lanes = Isa::bits(Isa::below(sums, limit));
    if constexpr (requires { Isa::compress(sums, lanes, first, to->ids, to->values); }) {
      to->n += Isa::compress(sums, lanes, first, to->ids + to->n, to->values + to->n);
    } else {
      alignas(64) std::uint16_t values[kBlock];
      Isa::store(values, sums);
      for (; lanes != 0; lanes &= lanes - 1, ++to->n) {
        const int lane = std::countr_zero(lanes);
        to->ids[to->n] = first + static_cast<std::uint32_t>(lane);
        to->values[to->n] = values[lane];
      }
    }
  }
};

// One query against runs of blocks: the first halves of all, in the order of memory, then the second halves of those
// that have a code within reach. They are marked by bits: no processor foresees which they are, so a branch a block would
// cost more than the comparison. Their memory is prefetched a run ahead.
constexpr int kRun = 32;  // results of two runs and prefetched memory stay in the first-level cache
constexpr int kAhead = 2048;  // words: a page, which the processor's own prefetch does not look beyond
template <class Isa, int Slices, class Query, class Sink = Reporter<Isa>>
class RunScan {
 public:
  RunScan(const ScanJob& job, int query, Sink sink = {})
      : job_(job), query_(query), asked_(job, query), sink_(sink), n_near_(near_slices_of(job.n_slices)),
        n_far_(job.n_slices - n_near_) {}

  // Compares a run, and finishes the one before.
  template <Codes kCodes>
  void add(std::int64_t first, int n_blocks) {
    Left& left = left_[now_];
    left.first = first;
    left.within_reach = compare_near<kCodes>(first, n_blocks, left.sums);
    const std::uint16_t* far = far_of(first);
    for (std::uint64_t blocks = left.within_reach; blocks != 0; blocks &= blocks - 1)
      for (int s = 0; s < n_far(); ++s) __builtin_prefetch(far + (std::countr_zero(blocks) * n_far() + s) * kBlock);
    now_ = 1 - now_;
    finish(left_[now_]);
  }
  // To be called after the last run.
  void finish_last() { finish(left_[1 - now_]); }

 private:
  struct Left {
    typename Isa::Lanes sums[kRun];
    std::int64_t first = 0;
    std::uint64_t within_reach = 0;
  };

  int n_near() const { return Slices > 0 ? near_slices_of(Slices) : n_near_; }
  int n_far() const { return Slices > 0 ? Slices - near_slices_of(Slices) : n_far_; }
  const std::uint16_t* far_of(std::int64_t first) const { return job_.far + first * n_far() * kBlock; }

  // Compares the second halves.
  void finish(Left& left) {
    const std::uint16_t* far = far_of(left.first);
    const auto asked = asked_.far();
    typename Isa::Lanes limit = Isa::splat_value(job_.limits[query_]);
    for (; left.within_reach != 0; left.within_reach &= left.within_reach - 1) {
      const int b = std::countr_zero(left.within_reach);
      sink_.take(job_, query_, left.first + b, asked.add(far + b * n_far() * kBlock, n_far(), left.sums[b]), limit);
    }
  }

  template <Codes kCodes>
  std::uint64_t compare_near(std::int64_t first, int n_blocks, typename Isa::Lanes* sums) const {
    const std::uint16_t* near = job_.near + first * n_near() * kBlock;
    const std::uint16_t* const end = job_.near + job_.n_blocks * n_near() * kBlock;
    const auto asked = asked_.near();
    const typename Isa::Lanes limit = Isa::splat_value(asked_.near_limit(job_.limits[query_]));
    std::uint64_t within_reach = 0;
#pragma GCC unroll 2
    for (int b = 0; b < n_blocks; ++b, near += n_near() * kBlock) {
      if (kCodes == Codes::some && no_candidates(job_, first + b, 1)) continue;
      sums[b] = asked.add(near, n_near(), asked_.template start<kCodes>(first + b));
      if (near + kAhead < end)  // what lies behind a short list is not read
        for (int s = 0; s < n_near(); ++s) __builtin_prefetch(near + s * kBlock + kAhead);
      within_reach |= std::uint64_t{Isa::any_below(sums[b], limit)} << b;
    }
    return within_reach;
  }

  const ScanJob& job_;
  int query_;
  Query asked_;
  Sink sink_;
  int n_near_, n_far_;
  Left left_[2];
  int now_ = 0;
};

// The last block may hold fewer codes, and has a run of its own.
template <Codes kCodes, class Scan>
void scan_runs(const ScanJob& job, std::span<Scan> scans) {
  const std::int64_t last = job.n_blocks - 1;
  for (std::int64_t block = 0; block < last; block += kRun)
    for (auto& scan : scans) scan.template add<kCodes>(block, static_cast<int>(std::min<std::int64_t>(kRun, last - block)));
  for (auto& scan : scans) {
    scan.template add<Codes::some>(last, 1);
    scan.finish_last();
  }
}

template <class Isa, int Slices, class Query>
void scan_runs(const ScanJob& job) {
  using Scan = RunScan<Isa, Slices, Query>;
  const auto scan_all = [&](std::span<Scan> scans) {
    if (job.candidates != nullptr) scan_runs<Codes::some>(job, scans);
    else if (job.penalty != nullptr) scan_runs<Codes::all_biased>(job, scans);
    else scan_runs<Codes::all>(job, scans);
  };
  if (job.n_queries == 1) {  // short lists are searched one by one: nothing is allocated for them
    Scan scan(job, 0);
    return scan_all({&scan, 1});
  }
  std::vector<Scan> scans;
  for (int query = 0; query < job.n_queries; ++query) scans.emplace_back(job, query);
  scan_all(scans);
}

template <class Isa, int Slices, class Query>
std::int64_t collect_runs(const ScanJob& job, std::uint32_t* ids, std::uint16_t* values) {
  Written written{ids, values};
  using Scan = RunScan<Isa, Slices, Query, Writer<Isa>>;
  Scan scan(job, 0, {&written});
  scan_runs<Codes::some>(job, std::span<Scan>(&scan, 1));
  return written.n;
}

template <class Isa, int Slices>
void scan_slices(const ScanJob& job) {
  if (job.n_planes > 1) return scan_runs<Isa, Slices, PlanesQuery<Isa, Slices>>(job);
  if (job.n_queries < Isa::kRows) return scan_runs<Isa, Slices, CodeQuery<Isa, Slices>>(job);
  scan_blocks<Isa, 1, 1, Slices>(job, scan_blocks<Isa, Isa::kRows, Isa::kBlocks, Slices>(job, 0));
}

// Calls `work` with the slices of the usual widths, 64, 128, 256 and 512 bits, as a constant, with 0 for any other.
template <class Work>
void with_slices(int n_slices, Work work) {
  switch (n_slices) {
    case 4: return work.template operator()<4>();
    case 8: return work.template operator()<8>();
    case 16: return work.template operator()<16>();
    case 32: return work.template operator()<32>();
    default: return work.template operator()<0>();
  }
}

template <class Isa>
void scan(const ScanJob& job) {
  with_slices(job.n_slices, [&]<int Slices>() { scan_slices<Isa, Slices>(job); });
}

template <class Isa>
std::int64_t collect(const ScanJob& job, std::uint32_t* ids, std::uint16_t* values) {
  std::int64_t n = 0;
  with_slices(job.n_slices, [&]<int Slices>() {
    n = job.n_planes > 1 ? collect_runs<Isa, Slices, PlanesQuery<Isa, Slices>>(job, ids, values)
                         : collect_runs<Isa, Slices, CodeQuery<Isa, Slices>>(job, ids, values);
  });
  return n;
}

}  // namespace
