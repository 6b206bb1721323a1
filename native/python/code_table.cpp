#include "code_table.hpp"

#include <algorithm>

#include "call.hpp"
#include "stages.hpp"

namespace hashgnn::python {
namespace {

Segment checked_segment(const SegmentArrays& arrays, int n_bits, std::int64_t first, bool is_last) {
  const auto& [words, penalty, alive, n_codes] = arrays;
  require(n_codes > 0 && first + n_codes <= kMaxCodes, "a segment must hold between 1 and " + text(kMaxCodes) + " codes");
  require(is_last || n_codes % kBlock == 0, "a segment must hold a multiple of 32 codes, got " + text(n_codes));
  const std::int64_t n_blocks = blocks_of(n_codes);
  require(static_cast<std::int64_t>(words.size()) == words_of(n_codes, n_bits), "words must fill the blocks of a segment");
  require(!penalty || static_cast<std::int64_t>(penalty->size()) == n_blocks * kBlock, "penalty must fill the blocks");
  require(!alive || static_cast<std::int64_t>(alive->size()) == n_blocks, "alive must have a word a block");
  return {words.data(), penalty ? penalty->data() : nullptr, alive ? alive->data() : nullptr, first, n_codes};
}

}  // namespace

CodeTable::CodeTable(int n_bits, std::vector<SegmentArrays> segments) : arrays_(std::move(segments)) {
  require(n_bits > 0 && n_bits % 8 == 0 && n_bits <= kMaxBits,
          "n_bits must be a multiple of 8 from 8 to " + text(kMaxBits) + ", got " + text(n_bits));
  table_.n_bits = n_bits;
  for (std::size_t i = 0; i < arrays_.size(); ++i) {
    table_.segments.push_back(checked_segment(arrays_[i], n_bits, table_.n_codes, i + 1 == arrays_.size()));
    const Segment& segment = table_.segments.back();
    require(segment.n_codes == table_.segments.front().n_codes || (i + 1 == arrays_.size() && segment.n_codes < table_.segments.front().n_codes),
            "segments must hold as many codes as the first, the last one at most as many");
    table_.n_codes += segment.n_codes;
    if (segment.penalty != nullptr)
      table_.max_penalty = std::max<std::uint32_t>(table_.max_penalty,
                                                   *std::max_element(segment.penalty, segment.penalty + segment.n_codes));
  }
}

nb::tuple CodeTable::search_codes(const Array<std::uint8_t, 2>& queries, const SearchArguments& arguments) const {
  check_arguments(arguments, table_.n_codes);
  check_width(queries, table_.n_bits, 8);
  const auto n_queries = static_cast<std::int64_t>(queries.shape(0));
  Results results(n_queries, arguments.k, true);
  {
    const nb::gil_scoped_release release;
    const Call call(table_.n_codes, arguments, n_queries, arguments.k);
    search(table_, code_queries(queries.data(), n_queries, table_.n_bits), call.filters, call.plan,
           [&](std::int64_t q, const std::vector<Hit>& hits) { write_codes(results, table_, arguments, q, hits); });
  }
  return results.hand_over();
}

nb::tuple CodeTable::search_floats(const Array<float, 2>& queries, int n_planes, const SearchArguments& arguments) const {
  check_arguments(arguments, table_.n_codes);
  check_width(queries, table_.n_bits, 1);
  check_planes(n_planes, table_.n_bits);
  const auto n_queries = static_cast<std::int64_t>(queries.shape(0));
  Results results(n_queries, arguments.k, false);
  {
    const nb::gil_scoped_release release;
    const Call call(table_.n_codes, arguments, n_queries, arguments.k);
    const Queries planes = checked_planes(queries, table_.n_bits, n_planes, arguments.biased);
    search(table_, planes, call.filters, call.plan, [&](std::int64_t q, const std::vector<Hit>& hits) {
      write_floats(results, planes, arguments, q, hits);
    });
  }
  return results.hand_over();
}

nb::tuple CodeTable::search_hierarchical(const Array<std::uint8_t, 2>& queries, const Array<float, 2>& embeddings,
                                         const StageTables& stages, const SearchArguments& arguments) const {
  check_arguments(arguments, table_.n_codes);
  check_width(queries, table_.n_bits, 8);
  const auto n_queries = static_cast<std::int64_t>(queries.shape(0));
  stages.check(embeddings, n_queries, arguments.k, table_.n_codes);
  Results results(n_queries, arguments.k, false);
  {
    const nb::gil_scoped_release release;
    const Call call(table_.n_codes, arguments, n_queries, stages.n_candidates());
    search(table_, code_queries(queries.data(), n_queries, table_.n_bits), call.filters, call.plan,
           [&](std::int64_t q, const std::vector<Hit>& hits) {
             stages.write(results, *call.plan.kernels, embeddings, q, hits, arguments.k);
           });
  }
  return results.hand_over();
}

}  // namespace hashgnn::python
