// The codes of lists that pass a filter, packed closely: for a filter that many queries share.
#pragma once

#include <cstdint>
#include <vector>

#include "inverted.hpp"

namespace hashgnn {

// Lists with memory of their own.
class OwnLists {
 public:
  OwnLists() = default;
  OwnLists(const OwnLists&) = delete;
  OwnLists& operator=(const OwnLists&) = delete;
  OwnLists(OwnLists&&) = default;
  OwnLists& operator=(OwnLists&&) = default;

  InvertedLists view() const;
  std::int64_t n_bytes() const;

 private:
  friend OwnLists allowed_lists(const InvertedLists&, const std::uint32_t*);
  friend OwnLists allowed_codes(const std::vector<const InvertedLists*>&, const std::vector<const std::int32_t*>&,
                                const std::uint32_t*, std::int64_t);

  // Makes room for lists of so many codes each.
  void begin(const InvertedLists& like, const std::vector<std::int64_t>& counts);
  void place(std::int64_t slot, const InvertedLists& from, std::int64_t from_slot);
  std::uint16_t* words();
  std::uint8_t* rows();

  int n_bits_ = 8;
  std::vector<std::int64_t> first_blocks_;
  std::vector<std::uint16_t> words_;  // begin on a cache line from words() on
  std::vector<std::uint8_t> penalty_;
  std::vector<std::uint32_t> alive_;
  std::vector<std::int32_t> positions_;
  std::vector<std::uint8_t> rows_;    // from rows() on, too
  std::int64_t row_bytes_ = 0;
  bool biased_ = false;
};

// The same lists without codes whose position has no bit.
OwnLists allowed_lists(const InvertedLists& lists, const std::uint32_t* allowed);

// One list of all codes, of several parts, whose position has a bit: by ascending position. Of each part, the slot of each of
// n_codes positions, or -1.
OwnLists allowed_codes(const std::vector<const InvertedLists*>& parts, const std::vector<const std::int32_t*>& slots,
                       const std::uint32_t* allowed, std::int64_t n_codes);

// The slot of each of n_codes positions, -1 where the lists do not hold it.
std::vector<std::int32_t> slots_of(const InvertedLists& lists, std::int64_t n_codes);

}  // namespace hashgnn
