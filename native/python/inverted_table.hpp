// Inverted lists as a Python object: immutable, and it keeps alive the arrays that it reads, or has its own.
#pragma once

#include <memory>
#include <mutex>

#include "../core/allowed.hpp"
#include "code_table.hpp"

namespace hashgnn::python {

class InvertedTable {
 public:
  InvertedTable(int n_bits, std::int64_t n_codes, const Array<std::int64_t, 1>& first_blocks, const Words& words,
                const std::optional<Bytes>& penalty, const Bits& alive, const Array<std::int32_t, 1>& positions,
                const std::optional<Array<std::uint8_t, 2>>& rows);

  InvertedTable(OwnLists lists, std::int64_t n_codes)
      : own_(std::make_unique<OwnLists>(std::move(lists))), lists_(own_->view()), n_codes_(n_codes) {}

  const InvertedLists& lists() const { return lists_; }
  std::int64_t n_codes() const { return n_codes_; }
  std::int64_t n_own_bytes() const { return own_ ? own_->n_bytes() : 0; }

  // The slot of each position, -1 where these lists do not hold it; made when it is first asked for.
  const std::int32_t* slots() const;

 private:
  using Arrays = std::tuple<Array<std::int64_t, 1>, Words, std::optional<Bytes>, Bits, Array<std::int32_t, 1>,
                            std::optional<Array<std::uint8_t, 2>>>;
  std::unique_ptr<OwnLists> own_;
  InvertedLists lists_;
  std::int64_t n_codes_;  // positions are below it
  std::optional<Arrays> arrays_;
  mutable std::once_flag slots_once_;
  mutable std::vector<std::int32_t> slots_;
};

// The same lists with those codes only whose position has a bit.
std::unique_ptr<InvertedTable> allowed_table(const InvertedTable& lists, const Mask& mask);
// One list of the codes of lists and of an extra list, or null, whose position has a bit.
std::unique_ptr<InvertedTable> allowed_list(const InvertedTable& lists, const InvertedTable* extra, const Mask& mask);

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
