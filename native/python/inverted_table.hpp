// Inverted lists as a Python object: immutable, and it keeps alive the arrays that it reads.
#pragma once

#include "../core/inverted.hpp"
#include "code_table.hpp"

namespace hashgnn::python {

class InvertedTable {
 public:
  InvertedTable(int n_bits, std::int64_t n_codes, const Array<std::int64_t, 1>& first_blocks, const Words& words,
                const std::optional<Bytes>& penalty, const Bits& alive, const Array<std::int32_t, 1>& positions);

  const InvertedLists& lists() const { return lists_; }
  std::int64_t n_codes() const { return n_codes_; }

 private:
  InvertedLists lists_;
  std::int64_t n_codes_;  // positions are below it
  std::tuple<Array<std::int64_t, 1>, Words, std::optional<Bytes>, Bits, Array<std::int32_t, 1>> arrays_;
};

nb::tuple search_inverted_codes(const InvertedTable& lists, const InvertedTable* extra, const CodeTable& centroids,
                                std::int64_t n_probe, const Array<std::uint8_t, 2>& queries,
                                const SearchArguments& arguments);
nb::tuple search_inverted_floats(const InvertedTable& lists, const InvertedTable* extra, const CodeTable& centroids,
                                 std::int64_t n_probe, const Array<float, 2>& queries, int n_planes,
                                 const SearchArguments& arguments);
nb::tuple search_inverted_hierarchical(const InvertedTable& lists, const InvertedTable* extra, const CodeTable& centroids,
                                       std::int64_t n_probe, const Array<std::uint8_t, 2>& queries,
                                       const Array<float, 2>& embeddings, const StageTables& stages,
                                       const SearchArguments& arguments);

}  // namespace hashgnn::python
