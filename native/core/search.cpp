#include "search.hpp"

#include <algorithm>
#include <bit>
#include <numeric>

#include "thread_pool.hpp"

namespace hashgnn {
namespace {

constexpr std::int64_t kQueryBytes = 16 * 1024;     // query words of a group, to stay in the first-level cache
constexpr std::int64_t kGroupHits = 1 << 21;        // hits that the collectors of a group may hold
constexpr std::int64_t kListShare = 24;             // an allow list is followed if shorter than n / this
constexpr std::int64_t kQueriesOfGroup = 128;       // fewer cost more time a query
constexpr std::int64_t kMinBlocksOfThread = 256;    // less is not worth another thread

std::uint32_t max_value(const Table& table, const Queries& queries, const SearchPlan& plan) {
  std::uint32_t most = 0;
  if (plan.biased)
    for (std::int64_t q = 0; q < queries.n_queries; ++q) most = std::max(most, queries.bias_of(table.max_penalty, q));
  return queries.value_range() + most;
}

// Collects the hits of the scan for a group of consecutive queries.
class Group {
 public:
  Group(const Filters& filters, std::int64_t first_query, std::int64_t n_queries, std::int64_t k,
        std::uint32_t max_value)
      : filters_(filters), first_(first_query) {
    collectors_.reserve(static_cast<std::size_t>(n_queries));
    for (std::int64_t q = 0; q < n_queries; ++q) {
      collectors_.emplace_back(k, max_value);
      limits_.push_back(twice(max_value + 1));
      if (filters.block) blocked_.push_back(filters.block.begin(first_query + q));
    }
  }

  std::uint32_t* limits() { return limits_.data(); }
  TopK& collector(std::int64_t query) { return collectors_[static_cast<std::size_t>(query)]; }

  // Positions come in ascending order, so a blocked list is walked once, alongside.
  bool is_blocked(int query, std::int64_t position) {
    if (blocked_.empty()) return false;
    const std::int32_t*& at = blocked_[static_cast<std::size_t>(query)];
    const std::int32_t* end = filters_.block.end(first_ + query);
    if (at != end && *at < position) at = std::lower_bound(at, end, position);
    return at != end && *at == position;
  }

  static void hit(void* context, int query, std::int64_t block, std::uint32_t lanes, const std::uint16_t* values) {
    Group& group = *static_cast<Group*>(context);
    TopK& collector = group.collector(query);
    for (; lanes != 0; lanes &= lanes - 1) {
      const int lane = std::countr_zero(lanes);
      const std::int64_t position = block * kBlock + lane;
      if (values[lane] < collector.limit() && !group.is_blocked(query, position))
        collector.offer(static_cast<std::uint32_t>(position), values[lane]);
    }
    group.limits_[static_cast<std::size_t>(query)] = twice(collector.limit());
  }

 private:
  static std::uint32_t twice(std::uint32_t limit) { return limit * 0x00010001u; }

  const Filters& filters_;
  std::int64_t first_;
  std::vector<TopK> collectors_;
  std::vector<std::uint32_t> limits_;
  std::vector<const std::int32_t*> blocked_;
};

// One part of the work: some queries against some blocks.
struct Part {
  std::int64_t first_query, n_queries, first_block, n_blocks;
};

class Search {
 public:
  Search(const Table& table, const Queries& queries, const Filters& filters, const SearchPlan& plan)
      : table_(table), queries_(queries), filters_(filters), plan_(plan), max_value_(max_value(table, queries, plan)) {}

  std::vector<std::vector<Hit>> scan(const Part& part, const std::uint32_t* allowed) const {
    Group group(filters_, part.first_query, part.n_queries, plan_.k, max_value_);
    for (const Segment& segment : table_.segments) scan_segment(segment, part, allowed, group);
    std::vector<std::vector<Hit>> hits;
    for (std::int64_t q = 0; q < part.n_queries; ++q) hits.push_back(group.collector(q).take());
    return hits;
  }

  // Follows an allow list instead of scanning everything.
  std::vector<Hit> follow(std::int64_t query) const {
    Group group(filters_, query, 1, plan_.k, max_value_);
    TopK& collector = group.collector(0);
    auto segment = table_.segments.begin();
    std::int64_t last = -1;
    for (const std::int32_t* at = filters_.allow.begin(query); at != filters_.allow.end(query); ++at) {
      const std::int64_t position = *at;
      while (position >= segment->first + segment->n_codes) ++segment;
      if (position == last || group.is_blocked(0, position)) continue;
      last = position;
      if (filters_.allowed != nullptr && !has_bit(filters_.allowed, position)) continue;
      if (segment->alive != nullptr && !has_bit(segment->alive, position - segment->first)) continue;
      const std::uint32_t value = value_of(*segment, position, queries_, query, plan_.biased);
      if (value < collector.limit()) collector.offer(static_cast<std::uint32_t>(position), value);
    }
    return collector.take();
  }

  // Scans for one query with a bitmap of its own.
  std::vector<Hit> scan_allowed(std::int64_t query) const {
    std::vector<std::uint32_t> bits(static_cast<std::size_t>(blocks_of(table_.n_codes)), 0);
    for (const std::int32_t* at = filters_.allow.begin(query); at != filters_.allow.end(query); ++at)
      bits[static_cast<std::size_t>(*at / 32)] |= 1u << (*at % 32);
    if (filters_.allowed != nullptr)
      for (std::size_t i = 0; i < bits.size(); ++i) bits[i] &= filters_.allowed[i];
    return std::move(scan({query, 1, 0, blocks_of(table_.n_codes)}, bits.data())[0]);
  }

 private:
  void scan_segment(const Segment& segment, const Part& part, const std::uint32_t* allowed, Group& group) const {
    const std::int64_t segment_first = segment.first / kBlock;
    const std::int64_t segment_blocks = blocks_of(segment.n_codes);
    const std::int64_t begin = std::max(part.first_block, segment_first);
    const std::int64_t end = std::min(part.first_block + part.n_blocks, segment_first + segment_blocks);
    if (begin >= end) return;
    const std::int64_t offset = begin - segment_first;
    std::vector<std::uint32_t> both;
    const std::uint32_t* candidates = nullptr;
    if (allowed != nullptr && segment.alive != nullptr) {
      both.resize(static_cast<std::size_t>(end - begin));
      for (std::size_t i = 0; i < both.size(); ++i)
        both[i] = allowed[static_cast<std::size_t>(begin) + i] & segment.alive[static_cast<std::size_t>(offset) + i];
      candidates = both.data();
    } else if (allowed != nullptr) {
      candidates = allowed + begin;
    } else if (segment.alive != nullptr) {
      candidates = segment.alive + offset;
    }
    const Run run(segment.words, segment_blocks, table_.n_bits);
    const std::int64_t codes_left = segment.n_codes - (end - 1 - segment_first) * kBlock;
    std::uint32_t last = codes_left >= kBlock ? ~0u : (1u << codes_left) - 1u;
    if (candidates != nullptr) last &= candidates[end - begin - 1];
    ScanJob job = scan_job(run, offset, end - begin, queries_, part.first_query, part.n_queries);
    job.first_block = begin;  // as positions count, over all segments
    job.penalty = plan_.biased && segment.penalty != nullptr ? segment.penalty + offset * kBlock : nullptr;
    job.candidates = candidates;
    job.last_candidates = last;
    job.limits = group.limits();
    job.hit = &Group::hit;
    job.context = &group;
    plan_.kernels->scan(job);
  }

  const Table& table_;
  const Queries& queries_;
  const Filters& filters_;
  const SearchPlan& plan_;
  std::uint32_t max_value_;
};

// Queries that are scanned together: as many as the caches and the memory for their hits allow.
std::int64_t group_size(const Queries& queries, const SearchPlan& plan, int n_slices) {
  const std::int64_t by_cache = kQueryBytes / (4 * queries.n_planes * n_slices);
  const std::int64_t by_hits = kGroupHits / (2 * plan.k + 1024 + queries.value_range());
  return std::clamp<std::int64_t>(std::min(by_cache, by_hits), 1, 1024);
}

void search_all(const Search& search, const Table& table, const Queries& queries, const Filters& filters,
                const SearchPlan& plan, const Done& done) {
  const std::int64_t n_blocks = blocks_of(table.n_codes);
  const std::int64_t most = group_size(queries, plan, slices_of(table.n_bits));
  // Several groups a thread, so that a thread that is held up does not hold up the call, while they stay large
  // enough for the work done once per group: codes are read, and on some processors prepared, for all its queries.
  const std::int64_t of_thread = (queries.n_queries + plan.n_threads - 1) / plan.n_threads;
  const std::int64_t share = plan.n_threads == 1 ? most : std::max(of_thread / 4, std::min(of_thread, kQueriesOfGroup));
  if (queries.n_queries >= 4 * plan.n_threads || n_blocks < 2 * kMinBlocksOfThread || plan.n_threads == 1) {
    // Enough queries for all threads: each thread takes groups of them.
    const std::int64_t size = std::clamp<std::int64_t>((share + 3) / 4 * 4, std::min<std::int64_t>(most, 4), most);
    run_tasks((queries.n_queries + size - 1) / size, plan.n_threads, [&](std::int64_t i) {
      const std::int64_t first = i * size;
      const std::int64_t n = std::min(size, queries.n_queries - first);
      const auto hits = search.scan({first, n, 0, n_blocks}, filters.allowed);
      for (std::int64_t q = 0; q < n; ++q) done(first + q, hits[static_cast<std::size_t>(q)]);
    });
    return;
  }
  // Few queries: each thread takes a run of blocks, and the results are merged in that order.
  const std::int64_t n_parts = std::min<std::int64_t>(plan.n_threads, n_blocks / kMinBlocksOfThread);
  for (std::int64_t first = 0; first < queries.n_queries; first += most) {
    const std::int64_t n = std::min(most, queries.n_queries - first);
    std::vector<std::vector<std::vector<Hit>>> parts(static_cast<std::size_t>(n_parts));
    run_tasks(n_parts, plan.n_threads, [&](std::int64_t i) {
      const std::int64_t begin = n_blocks * i / n_parts;
      const std::int64_t end = n_blocks * (i + 1) / n_parts;
      parts[static_cast<std::size_t>(i)] = search.scan({first, n, begin, end - begin}, filters.allowed);
    });
    for (std::int64_t q = 0; q < n; ++q) {
      std::vector<Hit> best = std::move(parts[0][static_cast<std::size_t>(q)]);
      for (std::size_t i = 1; i < parts.size(); ++i) best = merge_hits(best, parts[i][static_cast<std::size_t>(q)], plan.k);
      done(first + q, best);
    }
  }
}

}  // namespace

ScanJob scan_job(const Run& run, std::int64_t first_block, std::int64_t n_blocks, const Queries& queries,
                 std::int64_t first_query, std::int64_t n_queries) {
  ScanJob job{};
  job.near = run.near + first_block * run.near_stride();
  job.far = run.far + first_block * run.far_stride();
  job.n_slices = run.n_slices;
  job.n_blocks = n_blocks;
  job.first_block = first_block;
  job.queries = queries.words.data() + first_query * queries.n_planes * run.n_slices;
  job.n_queries = static_cast<int>(n_queries);
  job.n_planes = queries.n_planes;
  job.penalty_scale = queries.penalty_scale.empty() ? nullptr : queries.penalty_scale.data() + first_query;
  job.least_far = queries.least_far.empty() ? nullptr : queries.least_far.data() + first_query;
  return job;
}

std::uint32_t value_of(const Segment& segment, std::int64_t position, const Queries& queries, std::int64_t query,
                       bool biased) {
  const Run run(segment.words, blocks_of(segment.n_codes), queries.n_bits);
  const std::int64_t local = position - segment.first;
  const std::uint32_t* planes = queries.words.data() + query * queries.n_planes * run.n_slices;
  std::uint32_t value = 0;
  for (int p = 0; p < queries.n_planes; ++p) {
    value *= 2;
    for (int s = 0; s < run.n_slices; ++s)
      value += static_cast<std::uint32_t>(std::popcount((planes[p * run.n_slices + s] & 0xFFFFu) ^ *run.word(local, s)));
  }
  if (!biased || segment.penalty == nullptr) return value;
  return value + queries.bias_of(segment.penalty[local], query);
}

void search(const Table& table, const Queries& queries, const Filters& filters, const SearchPlan& plan,
            const Done& done) {
  const Search search(table, queries, filters, plan);
  if (table.n_codes == 0) {
    for (std::int64_t q = 0; q < queries.n_queries; ++q) done(q, {});
  } else if (filters.allow) {
    run_tasks(queries.n_queries, plan.n_threads, [&](std::int64_t q) {
      const std::int64_t length = filters.allow.end(q) - filters.allow.begin(q);
      done(q, length < table.n_codes / kListShare + kBlock ? search.follow(q) : search.scan_allowed(q));
    });
  } else {
    search_all(search, table, queries, filters, plan, done);
  }
}

}  // namespace hashgnn
