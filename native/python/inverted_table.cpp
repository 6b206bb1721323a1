#include "inverted_table.hpp"

#include <algorithm>

#include "call.hpp"
#include "stages.hpp"

namespace hashgnn::python {

InvertedTable::InvertedTable(int n_bits, std::int64_t n_codes, const Array<std::int64_t, 1>& first_blocks,
                             const Words& words, const std::optional<Bytes>& penalty, const Bits& alive,
                             const Array<std::int32_t, 1>& positions, const std::optional<Array<std::uint8_t, 2>>& rows)
    : n_codes_(n_codes), arrays_(std::in_place, first_blocks, words, penalty, alive, positions, rows) {
  require(n_bits > 0 && n_bits % 8 == 0 && n_bits <= kMaxBits, "n_bits must be a multiple of 8 from 8 to 1024, got " + text(n_bits));
  require(first_blocks.size() >= 1, "first_blocks must have one entry more than there are lists");
  const auto n_lists = static_cast<std::int64_t>(first_blocks.size()) - 1;
  const std::int64_t* firsts = first_blocks.data();
  require(firsts[0] == 0 && std::is_sorted(firsts, firsts + n_lists + 1), "first_blocks must begin at 0 and never fall");
  const std::int64_t n_blocks = firsts[n_lists];
  require(static_cast<std::int64_t>(alive.size()) == n_blocks, "alive must have a word a block");
  require(static_cast<std::int64_t>(positions.size()) == n_blocks * kBlock, "positions must fill the blocks");
  require(static_cast<std::int64_t>(words.size()) == n_blocks * kBlock * slices_of(n_bits), "words must fill the blocks");
  require(!penalty || static_cast<std::int64_t>(penalty->size()) == n_blocks * kBlock, "penalty must fill the blocks");
  const std::int32_t* at = positions.data();
  require(std::all_of(at, at + n_blocks * kBlock, [&](std::int32_t p) { return p >= 0 && p < std::max<std::int64_t>(n_codes, 1); }),
          "positions must lie within the codes");
  require(!rows || static_cast<std::int64_t>(rows->shape(0)) == n_blocks * kBlock, "rows must fill the blocks");
  lists_ = {n_bits, n_lists, firsts, words.data(), penalty ? penalty->data() : nullptr, alive.data(), at, 0,
            rows ? rows->data() : nullptr, rows ? static_cast<std::int64_t>(rows->shape(1)) : 0};
  if (penalty && n_blocks > 0)
    lists_.max_penalty = *std::max_element(penalty->data(), penalty->data() + n_blocks * kBlock);
}

const std::int32_t* InvertedTable::slots() const {
  std::call_once(slots_once_, [this] { slots_ = slots_of(lists_, n_codes_); });
  return slots_.data();
}

const std::uint8_t* InvertedTable::mean_penalties() const {
  std::call_once(penalties_once_, [this] { mean_penalties_ = mean_penalties_of(lists_); });
  return lists_.penalty == nullptr ? nullptr : mean_penalties_.data();
}

namespace {

Centres means_without_python(const InvertedLists& lists) {
  const nb::gil_scoped_release release;
  return means_of(lists);
}

}  // namespace

ListMeans::ListMeans(const InvertedTable& lists) : centres_(means_without_python(lists.lists())) {}

namespace {

void check_room(std::int64_t room) { require(room >= 0 && room <= kMaxCodes, "room must be at least 0, got " + text(room)); }

std::vector<std::int32_t> checked_positions(const Positions& positions, std::int64_t n_codes) {
  const std::int32_t* at = positions.data();
  const std::int32_t* const end = at + positions.size();
  require(std::is_sorted(at, end) && (at == end || (*at >= 0 && *(end - 1) < n_codes)), "positions must ascend within the codes");
  return {at, end};
}

}  // namespace

std::unique_ptr<InvertedTable> allowed_table(const InvertedTable& lists, const Mask& mask, std::int64_t room) {
  check_room(room);
  const std::uint32_t* bits = checked_mask(mask, lists.n_codes());
  const nb::gil_scoped_release release;
  return std::make_unique<InvertedTable>(allowed_lists(lists.lists(), bits, room), lists.n_codes());
}

std::unique_ptr<InvertedTable> allowed_list(const InvertedTable& lists, const InvertedTable* extra, const Mask& mask, std::int64_t room) {
  check_room(room);
  const std::uint32_t* bits = checked_mask(mask, lists.n_codes());
  require(extra == nullptr || (extra->n_codes() == lists.n_codes() && extra->lists().n_bits == lists.lists().n_bits),
          "extra must be one list of codes of the same width");
  const nb::gil_scoped_release release;
  std::vector<const InvertedLists*> parts = {&lists.lists()};
  std::vector<const std::int32_t*> slots = {lists.slots()};
  if (extra != nullptr) parts.push_back(&extra->lists()), slots.push_back(extra->slots());
  return std::make_unique<InvertedTable>(allowed_codes(parts, slots, bits, lists.n_codes(), room), lists.n_codes());
}

nb::tuple grown_table(const InvertedTable& last, const InvertedTable& lists, const InvertedTable* extra, const Positions& gone,
                      const Positions& added, const Positions& later, std::int64_t n_codes) {
  require(last.own() != nullptr, "the lists must come from allowed or allowed_list");
  require(n_codes >= last.n_codes() && n_codes >= lists.n_codes() && n_codes <= kMaxCodes, "n_codes must be that of the lists or more");
  for (const InvertedTable* from : {&lists, extra})
    require(from == nullptr || (from->lists().n_bits == last.lists().n_bits && from->lists().row_bytes == last.lists().row_bytes &&
                                (from->lists().penalty != nullptr) == (last.lists().penalty != nullptr)),
            "lists must hold codes like those that grow");
  require(last.lists().n_lists == 1 || last.lists().n_lists == lists.lists().n_lists, "there must be as many lists as before, or one");
  require(extra == nullptr || (extra->lists().n_lists == 1 && extra->n_codes() <= n_codes), "extra must be one list");
  require(later.size() == 0 || last.lists().n_lists == 1, "only one list takes codes of the extra list");
  Growth growth{&lists.lists(), nullptr, checked_positions(gone, last.lists().n_lists == 1 ? n_codes : lists.n_codes()),
                checked_positions(added, lists.n_codes()), extra == nullptr ? nullptr : &extra->lists(), checked_positions(later, n_codes)};
  std::unique_ptr<InvertedTable> table;
  std::vector<std::int32_t> left;
  {
    const nb::gil_scoped_release release;
    growth.slots = lists.slots();
    Grown grown = last.own()->grown(last.lists(), growth);
    left = std::move(grown.left);
    table = std::make_unique<InvertedTable>(last, std::move(grown), n_codes);
  }
  Output<std::int32_t> rest(static_cast<std::int64_t>(left.size()), 1, 0);
  std::copy(left.begin(), left.end(), rest.row(0));
  return nb::make_tuple(nb::cast(table.release(), nb::rv_policy::take_ownership), rest.hand_over_flat());
}

namespace {

InvertedSearch checked_index(const InvertedTable& lists, const InvertedTable* extra, const CodeTable& centroids,
                             std::int64_t n_probe, const SearchArguments& arguments) {
  const int n_bits = lists.lists().n_bits;
  require(centroids.size() == lists.lists().n_lists && centroids.n_bits() == n_bits, "there must be one centroid a list");
  require(extra == nullptr || (extra->lists().n_bits == n_bits && extra->lists().n_lists == 1 && extra->n_codes() == lists.n_codes()),
          "extra must be one list of codes of the same width");
  require(n_probe >= 1, "n_probe must be at least 1, got " + text(n_probe));
  require(arguments.share >= 0.0, "share must be at least 0");
  InvertedSearch index{&lists.lists(), extra == nullptr ? nullptr : &extra->lists(), &centroids.table(), n_probe, lists.n_codes(), arguments.share, {}, {}};
  index.slots = [&lists] { return lists.slots(); };
  if (extra != nullptr) index.extra_slots = [extra] { return extra->slots(); };
  return index;
}

}  // namespace

nb::tuple search_inverted_codes(const InvertedTable& lists, const InvertedTable* extra, const CodeTable& centroids,
                                std::int64_t n_probe, const Array<std::uint8_t, 2>& queries,
                                const SearchArguments& arguments) {
  const int n_bits = lists.lists().n_bits;
  check_arguments(arguments, lists.n_codes());
  check_width(queries, n_bits, 8);
  const InvertedSearch index = checked_index(lists, extra, centroids, n_probe, arguments);
  const auto n_queries = static_cast<std::int64_t>(queries.shape(0));
  Results results(n_queries, arguments.k, !arguments.biased);  // values with penalties are no distances
  {
    const nb::gil_scoped_release release;
    const Call call(lists.n_codes(), arguments, n_queries, arguments.k);
    const float best = static_cast<float>(n_bits) + (arguments.biased ? arguments.top : 0.0f);
    search_inverted(index, code_queries(queries.data(), n_queries, n_bits), call.filters, call.plan,
                    [&](std::int64_t q, const std::vector<Hit>& hits) {
                      for (std::size_t i = 0; i < hits.size(); ++i) {
                        results.positions.row(q)[i] = hits[i].position;
                        results.scores.row(q)[i] = best - 2.0f * static_cast<float>(hits[i].value);
                        if (results.has_distances) results.distances.row(q)[i] = static_cast<std::int32_t>(hits[i].value);
                      }
                      *results.counts.row(q) = static_cast<std::int64_t>(hits.size());
                    });
  }
  return results.hand_over();
}

nb::tuple search_inverted_floats(const InvertedTable& lists, const InvertedTable* extra, const CodeTable& centroids,
                                 const ListMeans* means, std::int64_t n_probe, const Array<float, 2>& queries, int n_planes,
                                 const SearchArguments& arguments) {
  const int n_bits = lists.lists().n_bits;
  check_arguments(arguments, lists.n_codes());
  check_width(queries, n_bits, 1);
  check_planes(n_planes, n_bits);
  InvertedSearch index = checked_index(lists, extra, centroids, n_probe, arguments);
  require(means == nullptr || (means->centres().size() == lists.lists().n_lists && means->centres().width() == n_bits),
          "there must be one mean a list");
  const auto n_queries = static_cast<std::int64_t>(queries.shape(0));
  Results results(n_queries, arguments.k, false);
  {
    const nb::gil_scoped_release release;
    const Call call(lists.n_codes(), arguments, n_queries, arguments.k);
    const Queries planes = checked_planes(queries, n_bits, n_planes, arguments.biased);
    if (means != nullptr) index.means = &means->centres(), index.mean_penalties = lists.mean_penalties(), index.floats = queries.data();
    search_inverted(index, planes, call.filters, call.plan, [&](std::int64_t q, const std::vector<Hit>& hits) {
      write_floats(results, planes, arguments, q, hits);
    });
  }
  return results.hand_over();
}

nb::tuple search_inverted_hierarchical(const InvertedTable& lists, const InvertedTable* extra, const CodeTable& centroids,
                                       std::int64_t n_probe, const Array<std::uint8_t, 2>& queries,
                                       const Array<float, 2>& embeddings, const StageTables& stages,
                                       const SearchArguments& arguments) {
  const int n_bits = lists.lists().n_bits;
  check_arguments(arguments, lists.n_codes());
  check_width(queries, n_bits, 8);
  const InvertedSearch index = checked_index(lists, extra, centroids, n_probe, arguments);
  const auto n_queries = static_cast<std::int64_t>(queries.shape(0));
  stages.check(embeddings, n_queries, arguments.k, lists.n_codes());
  Results results(n_queries, arguments.k, false);
  {
    const nb::gil_scoped_release release;
    const Call call(lists.n_codes(), arguments, n_queries, stages.n_candidates());
    SearchPlan plan = call.plan;
    plan.ordered = false;
    search_inverted(index, code_queries(queries.data(), n_queries, n_bits), call.filters, plan,
                    [&](std::int64_t q, const std::vector<Hit>& hits) {
                      stages.write(results, *plan.kernels, embeddings, q, hits, arguments.k);
                    });
  }
  return results.hand_over();
}

}  // namespace hashgnn::python
