#include "allowed.hpp"

#include <algorithm>
#include <bit>

namespace hashgnn {
namespace {

constexpr std::size_t kLine = 64;

// Lanes of a block that hold a code whose position has a bit.
std::uint32_t allowed_lanes(const InvertedLists& lists, std::int64_t block, const std::uint32_t* allowed) {
  const std::int32_t* positions = lists.positions + block * kBlock;
  std::uint32_t lanes = 0;
  for (int lane = 0; lane < kBlock; ++lane) lanes |= std::uint32_t{has_bit(allowed, positions[lane])} << lane;
  return lanes & lists.alive[block];
}

}  // namespace

void OwnLists::begin(const InvertedLists& like, const std::vector<std::int64_t>& counts, std::int64_t room) {
  n_bits_ = like.n_bits;
  biased_ = like.penalty != nullptr;
  row_bytes_ = like.rows == nullptr ? 0 : like.row_bytes;
  first_blocks_.assign(1, 0);
  for (const std::int64_t count : counts) first_blocks_.push_back(first_blocks_.back() + blocks_of(count + room));
  const auto n_blocks = static_cast<std::size_t>(first_blocks_.back());
  words_.assign(n_blocks * static_cast<std::size_t>(slices_of(n_bits_)) * kBlock + kLine / sizeof(std::uint16_t), 0);
  penalty_.assign(biased_ ? n_blocks * kBlock : 0, 0);
  rows_.assign(row_bytes_ == 0 ? 0 : n_blocks * kBlock * static_cast<std::size_t>(row_bytes_) + kLine, 0);
  alive_.assign(n_blocks, 0);
  positions_.assign(n_blocks * kBlock, 0);
  filled_ = counts;
}

std::uint16_t* OwnLists::words() {
  const auto at = reinterpret_cast<std::uintptr_t>(words_.data());
  return words_.data() + (kLine - at % kLine) % kLine / sizeof(std::uint16_t);
}

std::uint8_t* OwnLists::rows() {
  const auto at = reinterpret_cast<std::uintptr_t>(rows_.data());
  return rows_.data() + (kLine - at % kLine) % kLine;
}

void OwnLists::place(std::int64_t slot, const InvertedLists& from, std::int64_t from_slot) {
  copy(slot, from, from_slot);
  alive_[static_cast<std::size_t>(slot / kBlock)] |= 1u << (slot % kBlock);
}

void OwnLists::copy(std::int64_t slot, const InvertedLists& from, std::int64_t from_slot) {
  const Run source(from.words, from.n_blocks(), n_bits_);
  std::uint16_t* const mine = words();
  const Run target(mine, first_blocks_.back(), n_bits_);
  for (int s = 0; s < source.n_slices; ++s) mine[target.word(slot, s) - mine] = *source.word(from_slot, s);
  if (biased_) penalty_[static_cast<std::size_t>(slot)] = from.penalty[from_slot];
  if (row_bytes_ != 0) std::copy_n(from.rows + from_slot * row_bytes_, row_bytes_, rows() + slot * row_bytes_);
  positions_[static_cast<std::size_t>(slot)] = from.positions[from_slot];
}

InvertedLists OwnLists::view() const {
  std::uint32_t most = 0;
  if (!penalty_.empty()) most = *std::max_element(penalty_.begin(), penalty_.end());
  return {n_bits_, static_cast<std::int64_t>(first_blocks_.size()) - 1, first_blocks_.data(), const_cast<OwnLists*>(this)->words(),
          biased_ ? penalty_.data() : nullptr, alive_.data(), positions_.data(), most,
          row_bytes_ == 0 ? nullptr : const_cast<OwnLists*>(this)->rows(), row_bytes_};
}

std::int64_t OwnLists::n_bytes() const {
  return static_cast<std::int64_t>(words_.size() * 2 + penalty_.size() + alive_.size() * 4 + positions_.size() * 4 + first_blocks_.size() * 8 + rows_.size());
}

// A slot is filled once, before a state shows it: searches in earlier states go on meanwhile.
bool OwnLists::add(std::int64_t list, const InvertedLists& from, std::int64_t from_slot, Grown& to) {
  const std::int64_t first = first_blocks_[static_cast<std::size_t>(list)] * kBlock;
  std::int64_t& filled = filled_[static_cast<std::size_t>(list)];
  if (first + filled >= first_blocks_[static_cast<std::size_t>(list) + 1] * kBlock) return false;
  const std::int64_t slot = first + filled++;
  copy(slot, from, from_slot);
  if (biased_) to.max_penalty = std::max<std::uint32_t>(to.max_penalty, from.penalty[from_slot]);
  to.alive[static_cast<std::size_t>(slot / kBlock)] |= 1u << (slot % kBlock);
  return true;
}

// Clears the slots of ascending positions in a list.
void OwnLists::drop(std::int64_t list, const std::vector<std::int32_t>& positions, std::vector<std::uint32_t>& alive) const {
  for (std::int64_t block = first_blocks_[static_cast<std::size_t>(list)]; block < first_blocks_[static_cast<std::size_t>(list) + 1]; ++block)
    for (std::uint32_t left = alive[static_cast<std::size_t>(block)]; left != 0; left &= left - 1) {
      const int lane = std::countr_zero(left);
      if (std::binary_search(positions.begin(), positions.end(), positions_[static_cast<std::size_t>(block * kBlock + lane)]))
        alive[static_cast<std::size_t>(block)] &= ~(1u << lane);
    }
}

Grown OwnLists::grown(const InvertedLists& last, const Growth& growth) {
  const std::lock_guard<std::mutex> lock(*growing_);
  Grown to{{last.alive, last.alive + last.n_blocks()}, last.max_penalty, {}};
  const bool is_one = first_blocks_.size() == 2;
  const std::int64_t* const firsts = growth.from->first_blocks;
  const auto list_of = [&](std::int64_t slot) {
    return is_one ? 0 : std::upper_bound(firsts, firsts + growth.from->n_lists + 1, slot / kBlock) - firsts - 1;
  };
  std::vector<std::pair<std::int64_t, std::int32_t>> gone;  // by list
  for (const std::int32_t position : growth.gone)
    if (is_one || growth.slots[position] >= 0) gone.emplace_back(is_one ? 0 : list_of(growth.slots[position]), position);
  std::sort(gone.begin(), gone.end());
  for (std::size_t i = 0; i < gone.size();) {
    std::vector<std::int32_t> positions;
    const std::int64_t list = gone[i].first;
    for (; i < gone.size() && gone[i].first == list; ++i) positions.push_back(gone[i].second);
    drop(list, positions, to.alive);
  }
  for (const std::int32_t position : growth.added) {
    const std::int32_t slot = growth.slots[position];
    if (slot < 0 || !add(list_of(slot), *growth.from, slot, to)) to.left.push_back(position);
  }
  if (growth.later == nullptr || growth.added_later.empty()) return to;
  const InvertedLists& later = *growth.later;
  for (std::int64_t block = 0; block < later.n_blocks(); ++block)
    for (std::uint32_t left = later.alive[block]; left != 0; left &= left - 1) {
      const std::int64_t slot = block * kBlock + std::countr_zero(left);
      const std::int32_t position = later.positions[slot];
      if (!std::binary_search(growth.added_later.begin(), growth.added_later.end(), position)) continue;
      if (!add(0, later, slot, to)) to.left.push_back(position);
    }
  return to;
}

OwnLists allowed_lists(const InvertedLists& lists, const std::uint32_t* allowed, std::int64_t room) {
  std::vector<std::uint32_t> lanes(static_cast<std::size_t>(lists.n_blocks()));
  for (std::int64_t block = 0; block < lists.n_blocks(); ++block) lanes[static_cast<std::size_t>(block)] = allowed_lanes(lists, block, allowed);
  std::vector<std::int64_t> counts(static_cast<std::size_t>(lists.n_lists), 0);
  for (std::int64_t list = 0; list < lists.n_lists; ++list)
    for (std::int64_t block = lists.first_blocks[list]; block < lists.first_blocks[list + 1]; ++block)
      counts[static_cast<std::size_t>(list)] += std::popcount(lanes[static_cast<std::size_t>(block)]);
  OwnLists own;
  own.begin(lists, counts, room);
  for (std::int64_t list = 0; list < lists.n_lists; ++list) {
    std::int64_t slot = own.first_blocks_[static_cast<std::size_t>(list)] * kBlock;
    for (std::int64_t block = lists.first_blocks[list]; block < lists.first_blocks[list + 1]; ++block)
      for (std::uint32_t left = lanes[static_cast<std::size_t>(block)]; left != 0; left &= left - 1)
        own.place(slot++, lists, block * kBlock + std::countr_zero(left));
  }
  return own;
}

OwnLists allowed_codes(const std::vector<const InvertedLists*>& parts, const std::vector<const std::int32_t*>& slots,
                       const std::uint32_t* allowed, std::int64_t n_codes, std::int64_t room) {
  struct Place {
    std::size_t part;
    std::int64_t slot;
  };
  std::vector<Place> places;
  for (std::int64_t word = 0; word < blocks_of(n_codes); ++word)
    for (std::uint32_t left = allowed[word]; left != 0; left &= left - 1) {
      const std::int64_t position = word * 32 + std::countr_zero(left);
      for (std::size_t part = 0; part < parts.size() && position < n_codes; ++part)
        if (slots[part][position] >= 0) places.push_back({part, slots[part][position]});
    }
  OwnLists own;
  own.begin(*parts[0], {static_cast<std::int64_t>(places.size())}, room);
  constexpr std::size_t kAhead = 8;
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (i + kAhead < places.size()) {
      const Place& next = places[i + kAhead];
      const Run run(parts[next.part]->words, parts[next.part]->n_blocks(), own.n_bits_);
      for (int s = 0; s < run.n_slices; ++s) __builtin_prefetch(run.word(next.slot, s));
    }
    own.place(static_cast<std::int64_t>(i), *parts[places[i].part], places[i].slot);
  }
  return own;
}

std::vector<std::int32_t> slots_of(const InvertedLists& lists, std::int64_t n_codes) {
  std::vector<std::int32_t> slots(static_cast<std::size_t>(n_codes), -1);
  for (std::int64_t block = 0; block < lists.n_blocks(); ++block)
    for (std::uint32_t left = lists.alive[block]; left != 0; left &= left - 1) {
      const std::int64_t slot = block * kBlock + std::countr_zero(left);
      slots[static_cast<std::size_t>(lists.positions[slot])] = static_cast<std::int32_t>(slot);
    }
  return slots;
}

}  // namespace hashgnn
