// Codes, queries and filters of a call.
#include <algorithm>

#include "fuzz.hpp"

namespace hashgnn {

void Fuzz::make_codes() {
  n_bits_ = 8 * (chance(8) ? between(1, 128) : between(1, 17));
  n_codes_ = chance(50) ? between(1, 40000) : chance(8) ? between(150, 3000) : between(1, 150);
  n_queries_ = n_codes_ > 3000 ? between(1, 5) : between(0, 9);
  k_ = between(1, static_cast<int>(chance(2) ? n_codes_ : std::min<std::int64_t>(n_codes_, 20)));
  n_threads_ = chance(20) ? between(2, 3) : 1;
  biased_ = chance(2);
  const std::size_t n_bytes = static_cast<std::size_t>(n_bits_ / 8);
  codes_.resize(static_cast<std::size_t>(n_codes_) * n_bytes);
  const auto mask = static_cast<std::uint8_t>(random_());  // few distinct codes: many ties
  for (std::uint8_t& byte : codes_) byte = static_cast<std::uint8_t>(random_() & mask);
  query_codes_.resize(static_cast<std::size_t>(n_queries_) * n_bytes);
  for (std::uint8_t& byte : query_codes_) byte = static_cast<std::uint8_t>(random_());
  if (chance(3) && n_queries_ > 0) {  // codes near the queries: blocks side by side move the limits of each other
    for (std::size_t i = 0; i < codes_.size(); ++i) {
      const std::size_t query = (i / n_bytes) % static_cast<std::size_t>(n_queries_);
      const bool flipped = chance(4);
      codes_[i] = static_cast<std::uint8_t>(query_codes_[query * n_bytes + i % n_bytes] ^ (flipped ? 1u << between(0, 7) : 0u));
    }
  }
  floats_.resize(static_cast<std::size_t>(n_queries_ * n_bits_));
  const float scale = chance(5) ? 0.0f : chance(3) ? 1e-4f : 1.0f;
  for (float& value : floats_) value = scale * static_cast<float>(between(-1000, 1000)) / 500.0f;
  const std::size_t n_blocks = static_cast<std::size_t>(blocks_of(n_codes_));
  penalty_.assign(n_blocks * kBlock, 0);
  for (std::int64_t i = 0; i < n_codes_; ++i) penalty_[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(random_() & mask);
  alive_.assign(n_blocks, ~0u);
  if (chance(3)) for (std::uint32_t& word : alive_) word = static_cast<std::uint32_t>(random_());
  words_.assign(static_cast<std::size_t>(words_of(n_codes_, n_bits_)), 0);
  table_ = {n_bits_, n_codes_, *std::max_element(penalty_.begin(), penalty_.end()), {}};
  const std::int64_t size = chance(2) ? n_codes_ : kBlock * between(1, 8);
  std::vector<std::uint8_t> back(codes_.size());
  for (std::int64_t first = 0; first < n_codes_; first += size) {
    const std::size_t block = static_cast<std::size_t>(first / kBlock);
    std::uint16_t* words = words_.data() + words_of(first, n_bits_);
    const std::int64_t n = std::min(size, n_codes_ - first);
    pack_blocks(codes_.data() + first * (n_bits_ / 8), n, n_bits_, 0, words, blocks_of(n));
    unpack_blocks(words, blocks_of(n), 0, n, n_bits_, back.data() + first * (n_bits_ / 8));
    table_.segments.push_back({words, penalty_.data() + first, alive_.data() + block, first, n});
  }
  if (back != codes_) fail("unpacking");
}

void Fuzz::make_filters() {
  filters_ = {};
  allowed_.assign(alive_.size(), ~0u);
  for (std::uint32_t& word : allowed_) word = static_cast<std::uint32_t>(random_() | random_());
  if (chance(2)) filters_.allowed = allowed_.data();
  if (chance(2)) filters_.block = make_lists(block_starts_, block_);
  if (chance(3)) filters_.allow = make_lists(allow_starts_, allow_);
}

Lists Fuzz::make_lists(std::vector<std::int64_t>& starts, std::vector<std::int32_t>& entries) {
  starts.assign(1, 0);
  entries.clear();
  for (std::int64_t q = 0; q < n_queries_; ++q) {
    const int length = chance(3) ? between(0, static_cast<int>(std::min<std::int64_t>(n_codes_, 2000))) : between(0, 5);
    for (int i = 0; i < length; ++i) entries.push_back(between(0, static_cast<int>(n_codes_) - 1));
    std::sort(entries.begin() + starts.back(), entries.end());
    starts.push_back(static_cast<std::int64_t>(entries.size()));
  }
  entries.reserve(1);  // data() of an empty vector may be null
  return {starts.data(), entries.data()};
}

}  // namespace hashgnn
