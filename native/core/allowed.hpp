// The codes of lists that pass a filter, packed closely: for a filter that many queries share.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "inverted.hpp"

namespace hashgnn {

// What lists gain and lose. Positions ascend.
struct Growth {
  const InvertedLists* from = nullptr;      // added codes, the slot of each position in `slots`
  const std::int32_t* slots = nullptr;
  std::vector<std::int32_t> gone, added;
  const InvertedLists* later = nullptr;     // one list, or null: where `added_later` are
  std::vector<std::int32_t> added_later;
};

// A later state of lists: a bit for each slot that holds a code now, and the added positions that found no room.
struct Grown {
  std::vector<std::uint32_t> alive;
  std::uint32_t max_penalty = 0;
  std::vector<std::int32_t> left;
};

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

  // The lists as they were last, which are these with another `alive`, without some positions and with others; see grow().
  Grown grown(const InvertedLists& last, const Growth& growth);

 private:
  friend OwnLists allowed_lists(const InvertedLists&, const std::uint32_t*, std::int64_t);
  friend OwnLists allowed_codes(const std::vector<const InvertedLists*>&, const std::vector<const std::int32_t*>&,
                                const std::uint32_t*, std::int64_t, std::int64_t);

  // Makes room for lists of so many codes each.
  void begin(const InvertedLists& like, const std::vector<std::int64_t>& counts, std::int64_t room);
  void place(std::int64_t slot, const InvertedLists& from, std::int64_t from_slot);
  void copy(std::int64_t slot, const InvertedLists& from, std::int64_t from_slot);
  bool add(std::int64_t list, const InvertedLists& from, std::int64_t from_slot, Grown& to);
  void drop(std::int64_t list, const std::vector<std::int32_t>& positions, std::vector<std::uint32_t>& alive) const;
  std::uint16_t* words();
  std::uint8_t* rows();

  int n_bits_ = 8;
  std::vector<std::int64_t> first_blocks_;
  std::vector<std::uint16_t> words_;  // begin on a cache line from words() on
  std::vector<std::uint8_t> penalty_;
  std::vector<std::uint32_t> alive_;
  std::vector<std::int32_t> positions_;
  std::vector<std::uint8_t> rows_;    // from rows() on, too
  std::vector<std::int64_t> filled_;  // slots of each list that were ever filled
  std::unique_ptr<std::mutex> growing_ = std::make_unique<std::mutex>();
  std::int64_t row_bytes_ = 0;
  bool biased_ = false;
};

// The same lists without codes whose position has no bit, with room for so many more in each.
OwnLists allowed_lists(const InvertedLists& lists, const std::uint32_t* allowed, std::int64_t room = 0);

// One list of all codes, of several parts, whose position has a bit: by ascending position. Of each part, the slot of each of
// n_codes positions, or -1.
OwnLists allowed_codes(const std::vector<const InvertedLists*>& parts, const std::vector<const std::int32_t*>& slots,
                       const std::uint32_t* allowed, std::int64_t n_codes, std::int64_t room = 0);

// The slot of each of n_codes positions, -1 where the lists do not hold it.
std::vector<std::int32_t> slots_of(const InvertedLists& lists, std::int64_t n_codes);

}  // namespace hashgnn
