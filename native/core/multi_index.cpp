#include "multi_index.hpp"

#include <algorithm>

#include "layout.hpp"
#include "thread_pool.hpp"

namespace hashgnn {
namespace {

// Looking up and comparing one code at a time costs about this many times what the scan pays for a code.
constexpr std::int64_t kScanAdvantage = 32;

std::uint32_t bits_of(const std::uint8_t* code, int first, int n) {
  std::uint32_t value = 0;
  for (int bit = first; bit < first + n; ++bit) value = value << 1 | ((code[bit / 8] >> (7 - bit % 8)) & 1u);
  return value;
}

}  // namespace

HashTables::HashTables(const std::uint8_t* packed, std::int64_t n_codes, int n_bits, int n_tables)
    : n_codes_(n_codes), n_bits_(n_bits), parts_(static_cast<std::size_t>(n_tables)) {
  for (int t = 0; t < n_tables; ++t) {
    Part& part = parts_[static_cast<std::size_t>(t)];
    part.first_bit = n_bits * t / n_tables;
    part.n_bits = n_bits * (t + 1) / n_tables - part.first_bit;
    part.starts.assign((std::size_t{1} << part.n_bits) + 1, 0);
    part.positions.resize(static_cast<std::size_t>(n_codes));
    for (std::int64_t i = 0; i < n_codes; ++i) ++part.starts[bits_of(packed + i * (n_bits / 8), part.first_bit, part.n_bits) + 1];
    for (std::size_t value = 1; value < part.starts.size(); ++value) part.starts[value] += part.starts[value - 1];
    std::vector<std::uint32_t> next(part.starts.begin(), part.starts.end() - 1);
    for (std::int64_t i = 0; i < n_codes; ++i)
      part.positions[next[bits_of(packed + i * (n_bits / 8), part.first_bit, part.n_bits)]++] = static_cast<std::int32_t>(i);
  }
}

std::int64_t HashTables::n_bytes() const {
  std::size_t total = 0;
  for (const Part& part : parts_) total += 4 * (part.starts.size() + part.positions.size());
  return static_cast<std::int64_t>(total);
}

// The search for one query.
class HashTables::Seeker {
 public:
  Seeker(const HashTables& tables, const Table& table, const Queries& queries, std::int64_t query,
         const Filters& filters, const SearchPlan& plan, std::vector<std::uint64_t>& seen)
      : tables_(tables),
        table_(table),
        queries_(queries),
        query_(query),
        filters_(filters),
        plan_(plan),
        seen_(seen),
        budget_(table.n_codes / kScanAdvantage + 64),
        collector_(plan.k, queries.value_range() + (plan.biased ? table.max_penalty : 0), Order::any) {}

  ~Seeker() {
    for (const std::int32_t position : looked_at_) seen_[static_cast<std::size_t>(position / 64)] = 0;
  }
  Seeker(const Seeker&) = delete;

  // False where the scan is cheaper; then nothing was found.
  bool find(const std::uint8_t* code, const std::int32_t* extra, std::int64_t n_extra) {
    for (std::int64_t i = 0; i < n_extra; ++i) look_at(extra[i]);
    const int n_tables = static_cast<int>(tables_.parts_.size());
    int widest = 0;
    for (const Part& part : tables_.parts_) widest = std::max(widest, part.n_bits);
    for (int radius = 0; radius <= widest; ++radius) {
      for (int t = 0; t < n_tables; ++t) {
        const Part& part = tables_.parts_[static_cast<std::size_t>(t)];
        if (radius <= part.n_bits && !look_around(part, bits_of(code, part.first_bit, part.n_bits), radius)) return false;
        // A code not seen so far differs in more than `radius` bits of the parts up to this one, and in
        // at least `radius` of the others.
        const auto nearer = static_cast<std::uint32_t>(n_tables * radius + t);
        if (collector_.is_full() && collector_.limit() - 1 <= nearer) return true;
      }
    }
    return true;
  }

  std::vector<Hit> take() { return collector_.take(); }

 private:
  // All codes whose part differs from `value` in exactly `radius` bits.
  bool look_around(const Part& part, std::uint32_t value, int radius) {
    const std::uint32_t end = 1u << part.n_bits;
    std::uint32_t flips = (1u << radius) - 1;
    while (flips < end) {
      const std::uint32_t at = value ^ flips;
      if ((budget_ -= 1 + (part.starts[at + 1] - part.starts[at])) < 0) return false;
      for (std::uint32_t i = part.starts[at]; i < part.starts[at + 1]; ++i) look_at(part.positions[i]);
      if (flips == 0) break;
      const std::uint32_t lowest = flips & -flips;  // the next larger number with as many ones
      const std::uint32_t carried = flips + lowest;
      flips = carried | (((flips ^ carried) / lowest) >> 2);
    }
    return true;
  }

  void look_at(std::int32_t position) {
    std::uint64_t& word = seen_[static_cast<std::size_t>(position / 64)];
    const std::uint64_t bit = std::uint64_t{1} << (position % 64);
    if ((word & bit) != 0) return;
    word |= bit;
    looked_at_.push_back(position);
    const Segment& segment = table_.segment_of(position);
    if (segment.alive != nullptr && !has_bit(segment.alive, position - segment.first)) return;
    const std::uint32_t value = value_of(segment, position, queries_, query_, plan_.biased);
    if (value >= collector_.limit()) return;
    if (filters_.allowed != nullptr && !has_bit(filters_.allowed, position)) return;
    if (filters_.block && std::binary_search(filters_.block.begin(query_), filters_.block.end(query_), position)) return;
    collector_.offer(static_cast<std::uint32_t>(position), value);
  }

  const HashTables& tables_;
  const Table& table_;
  const Queries& queries_;
  std::int64_t query_;
  const Filters& filters_;
  const SearchPlan& plan_;
  std::vector<std::uint64_t>& seen_;  // a bit per position, all 0 between searches
  std::vector<std::int32_t> looked_at_;
  std::int64_t budget_;               // look-ups and comparisons left before the scan is cheaper
  TopK collector_;
};

void HashTables::search(const Table& table, const std::int32_t* extra, std::int64_t n_extra,
                        const std::uint8_t* queries, std::int64_t n_queries, const Filters& filters,
                        const SearchPlan& plan, const Done& done) const {
  const int n_bytes = n_bits_ / 8;
  run_tasks(n_queries, plan.n_threads, [&](std::int64_t q) {
    // Room of a thread, reused from call to call: clearing it for every query would cost more than a search.
    thread_local std::vector<std::uint64_t> seen;
    if (seen.size() < static_cast<std::size_t>(table.n_codes / 64 + 1)) seen.assign(static_cast<std::size_t>(table.n_codes / 64 + 1), 0);
    const Queries one = code_queries(queries + q * n_bytes, 1, n_bits_);
    std::int64_t block_starts[2], allow_starts[2];
    const auto of_query = [q](const Lists& lists, std::int64_t (&starts)[2]) -> Lists {
      if (!lists) return {};
      starts[0] = 0;
      starts[1] = lists.indptr[q + 1] - lists.indptr[q];
      return {starts, lists.indices + lists.indptr[q]};
    };
    const Filters own = {of_query(filters.block, block_starts), of_query(filters.allow, allow_starts), filters.allowed};
    if (!own.allow) {  // an allow list is followed instead
      Seeker seeker(*this, table, one, 0, own, plan, seen);
      if (seeker.find(queries + q * n_bytes, extra, n_extra)) {
        done(q, seeker.take());
        return;
      }
    }
    SearchPlan alone = plan;
    alone.n_threads = 1;
    hashgnn::search(table, one, own, alone, [&](std::int64_t, const std::vector<Hit>& hits) { done(q, hits); });
  });
}

}  // namespace hashgnn
