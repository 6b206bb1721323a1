#include "inverted.hpp"

#include <algorithm>
#include <bit>

#include "thread_pool.hpp"

namespace hashgnn {
namespace {

// The hits of one query in the lists; positions come in no order.
class Finder {
 public:
  Finder(const Queries& queries, std::int64_t query, const Filters& filters, const SearchPlan& plan,
         std::uint32_t max_value)
      : queries_(queries),
        query_(query),
        filters_(filters),
        plan_(plan),
        collector_(plan.k, max_value, Order::any),
        limit_(twice(collector_.limit())) {}

  void look_into(const InvertedLists& lists, std::int64_t list) {
    const std::int64_t begin = lists.first_blocks[list];
    const std::int64_t end = lists.first_blocks[list + 1];
    if (begin == end) return;
    lists_ = &lists;
    const Run run(lists.words, lists.first_blocks[lists.n_lists], lists.n_bits);
    ScanJob job = scan_job(run, begin, end - begin, queries_, query_, 1);
    job.penalty = plan_.biased && lists.penalty != nullptr ? lists.penalty + begin * kBlock : nullptr;
    job.candidates = lists.alive + begin;
    job.last_candidates = lists.alive[end - 1];
    job.limits = &limit_;
    job.hit = &Finder::hit;
    job.context = this;
    plan_.kernels->scan(job);
  }

  TopK& collector() { return collector_; }

 private:
  static std::uint32_t twice(std::uint32_t limit) { return limit * 0x00010001u; }

  static void hit(void* context, int, std::int64_t block, std::uint32_t lanes, const std::uint16_t* values) {
    Finder& finder = *static_cast<Finder*>(context);
    for (; lanes != 0; lanes &= lanes - 1) {
      const int lane = std::countr_zero(lanes);
      const std::int32_t position = finder.lists_->positions[block * kBlock + lane];
      if (values[lane] < finder.collector_.limit() && finder.may_get(position))
        finder.collector_.offer(static_cast<std::uint32_t>(position), values[lane]);
    }
    finder.limit_ = twice(finder.collector_.limit());
  }

  bool may_get(std::int32_t position) const {
    if (filters_.allowed != nullptr && !has_bit(filters_.allowed, position)) return false;
    if (filters_.block && std::binary_search(filters_.block.begin(query_), filters_.block.end(query_), position)) return false;
    return !filters_.allow || std::binary_search(filters_.allow.begin(query_), filters_.allow.end(query_), position);
  }

  const Queries& queries_;
  std::int64_t query_;
  const Filters& filters_;
  const SearchPlan& plan_;
  TopK collector_;
  std::uint32_t limit_;
  const InvertedLists* lists_ = nullptr;
};

std::vector<std::vector<Hit>> nearest_lists(const Table& centroids, const Queries& queries, std::int64_t n_lists,
                                            const SearchPlan& plan) {
  Queries plain = queries;
  plain.penalty_scale.clear();
  std::vector<std::vector<Hit>> nearest(static_cast<std::size_t>(queries.n_queries));
  search(centroids, plain, {}, {plan.kernels, n_lists, false, plan.n_threads},
         [&](std::int64_t q, const std::vector<Hit>& hits) { nearest[static_cast<std::size_t>(q)] = hits; });
  return nearest;
}

// One query of a batch by itself, to order all lists for it.
Queries single(const Queries& queries, std::int64_t q) {
  const std::int64_t n_words = static_cast<std::int64_t>(queries.n_planes) * slices_of(queries.n_bits);
  Queries one;
  one.n_queries = 1;
  one.n_bits = queries.n_bits;
  one.n_planes = queries.n_planes;
  one.words.assign(queries.words.begin() + q * n_words, queries.words.begin() + (q + 1) * n_words);
  return one;
}

}  // namespace

void search_inverted(const InvertedSearch& index, const Queries& queries, const Filters& filters,
                     const SearchPlan& plan, const Done& done) {
  std::uint32_t max_penalty = plan.biased ? index.lists->max_penalty : 0;
  if (plan.biased && index.extra != nullptr) max_penalty = std::max(max_penalty, index.extra->max_penalty);
  const std::int64_t n_probe = std::min(index.n_probe, index.lists->n_lists);
  const auto nearest = nearest_lists(*index.centroids, queries, std::max<std::int64_t>(n_probe, 1), plan);
  run_tasks(queries.n_queries, plan.n_threads, [&](std::int64_t q) {
    Finder finder(queries, q, filters, plan, queries.value_range() + queries.bias_of(max_penalty, q));
    if (index.extra != nullptr) finder.look_into(*index.extra, 0);
    const auto& first = nearest[static_cast<std::size_t>(q)];
    for (const Hit& list : first) finder.look_into(*index.lists, list.position);
    if (!finder.collector().is_full() && n_probe < index.lists->n_lists) {
      // Too few codes passed the filters here: go on through the other lists, nearest first.
      const auto all = nearest_lists(*index.centroids, single(queries, q), index.lists->n_lists, {plan.kernels, 0, false, 1});
      for (std::size_t i = first.size(); i < all[0].size() && !finder.collector().is_full(); ++i)
        finder.look_into(*index.lists, all[0][i].position);
    }
    done(q, plan.ordered ? finder.collector().take() : finder.collector().take_unordered());
  });
}

}  // namespace hashgnn
