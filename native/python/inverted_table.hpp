// Inverted lists as a Python object: immutable, and it keeps alive the arrays that it reads, or has its own.
#pragma once

#include <memory>
#include <mutex>

#include "../core/allowed.hpp"
#include "../core/promises.hpp"
#include "code_table.hpp"

namespace hashgnn::python {

class InvertedTable {
 public:
  InvertedTable(int n_bits, std::int64_t n_codes, const Array<std::int64_t, 1>& first_blocks, const Words& words,
                const std::optional<Bytes>& penalty, const Bits& alive, const Array<std::int32_t, 1>& positions,
                const std::optional<Array<std::uint8_t, 2>>& rows);

  InvertedTable(OwnLists lists, std::int64_t n_codes)
      : own_(std::make_shared<OwnLists>(std::move(lists))), lists_(own_->view()), n_codes_(n_codes) {}

  // A later state of the same memory.
  InvertedTable(const InvertedTable& last, Grown grown, std::int64_t n_codes)
      : own_(last.own_), lists_(last.lists_), n_codes_(n_codes), alive_(std::move(grown.alive)) {
    lists_.alive = alive_.data();
    lists_.max_penalty = grown.max_penalty;
  }

  const InvertedLists& lists() const { return lists_; }
  std::int64_t n_codes() const { return n_codes_; }
  std::int64_t n_own_bytes() const { return own_ ? own_->n_bytes() : 0; }

  // What holds the memory of these lists, where it is their own.
  OwnLists* own() const { return own_.get(); }

  // The slot of each position, -1 where these lists do not hold it; made when it is first asked for.
  const std::int32_t* slots() const;

  // The mean penalty of each block, null where codes have none; made when it is first asked for.
  const std::uint8_t* mean_penalties() const;

 private:
  using Arrays = std::tuple<Array<std::int64_t, 1>, Words, std::optional<Bytes>, Bits, Array<std::int32_t, 1>,
                            std::optional<Array<std::uint8_t, 2>>>;
  std::shared_ptr<OwnLists> own_;
  InvertedLists lists_;
  std::int64_t n_codes_;  // positions are below it
  std::optional<Arrays> arrays_;
  std::vector<std::uint32_t> alive_;
  mutable std::once_flag slots_once_, penalties_once_;
  mutable std::vector<std::int32_t> slots_;
  mutable std::vector<std::uint8_t> mean_penalties_;
};

// The means of the codes of lists, for float queries.
class ListMeans {
 public:
  explicit ListMeans(const InvertedTable& lists);

  const Centres& centres() const { return centres_; }
  std::int64_t n_bytes() const { return centres_.n_bytes(); }

 private:
  Centres centres_;
};

// The same lists with those codes only whose position has a bit, and with room for so many more in each.
std::unique_ptr<InvertedTable> allowed_table(const InvertedTable& lists, const Mask& mask, std::int64_t room);
// One list of the codes of lists and of an extra list, or null, whose position has a bit; with room for so many more.
std::unique_ptr<InvertedTable> allowed_list(const InvertedTable& lists, const InvertedTable* extra, const Mask& mask, std::int64_t room);

// A later state of one of these, for n_codes positions: without `gone`, with `added` of the lists that it was made from, and
// with `later` of the extra list. It shares its memory with what it comes from. Also the positions that found no room.
using Positions = Array<std::int32_t, 1>;
nb::tuple grown_table(const InvertedTable& last, const InvertedTable& lists, const InvertedTable* extra, const Positions& gone,
                      const Positions& added, const Positions& later, std::int64_t n_codes);

nb::tuple search_inverted_codes(const InvertedTable& lists, const InvertedTable* extra, const CodeTable& centroids,
                                std::int64_t n_probe, const Array<std::uint8_t, 2>& queries,
                                const SearchArguments& arguments);
// Where there are means, a query reads the blocks that promise most by them, else the lists with the nearest centroids.
nb::tuple search_inverted_floats(const InvertedTable& lists, const InvertedTable* extra, const CodeTable& centroids,
                                 const ListMeans* means, std::int64_t n_probe, const Array<float, 2>& queries, int n_planes,
                                 const SearchArguments& arguments);
nb::tuple search_inverted_hierarchical(const InvertedTable& lists, const InvertedTable* extra, const CodeTable& centroids,
                                       std::int64_t n_probe, const Array<std::uint8_t, 2>& queries,
                                       const Array<float, 2>& embeddings, const StageTables& stages,
                                       const SearchArguments& arguments);

}  // namespace hashgnn::python
