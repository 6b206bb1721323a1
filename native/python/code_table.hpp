// The codes of an index as a Python object: immutable, and it keeps alive the arrays that it reads.
#pragma once

#include "../core/queries.hpp"
#include "../core/search.hpp"
#include "arguments.hpp"

namespace hashgnn::python {

using Words = Array<std::uint16_t, 1>;
using Bytes = Array<std::uint8_t, 1>;
using Bits = Array<std::uint32_t, 1>;
using SegmentArrays = std::tuple<Words, std::optional<Bytes>, std::optional<Bits>, std::int64_t>;

// Any of the three tables of embeddings.
using Rows = nb::ndarray<nb::ro, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

struct SearchArguments {
  std::int64_t k;
  bool biased;
  float top;
  std::optional<CheckedLists::Pair> block_per_query, allow_per_query;
  std::optional<Mask> allow_all;
  int n_threads;
  double share = 1.0;  // of the codes that allow_all lets through
};

class StageTables;

class CodeTable {
 public:
  CodeTable(int n_bits, std::vector<SegmentArrays> segments);

  std::int64_t size() const { return table_.n_codes; }
  int n_bits() const { return table_.n_bits; }
  const Table& table() const { return table_; }

  nb::tuple search_codes(const Array<std::uint8_t, 2>& queries, const SearchArguments& arguments) const;
  nb::tuple search_floats(const Array<float, 2>& queries, int n_planes, const SearchArguments& arguments) const;
  nb::tuple search_hierarchical(const Array<std::uint8_t, 2>& queries, const Array<float, 2>& embeddings,
                                const StageTables& stages, const SearchArguments& arguments) const;

 private:
  Table table_;
  std::vector<SegmentArrays> arrays_;
};

}  // namespace hashgnn::python
