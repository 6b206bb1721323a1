#include "arguments.hpp"

#include <algorithm>

#include "../core/layout.hpp"

namespace hashgnn::python {

CheckedLists::CheckedLists(const char* name, const std::optional<Pair>& pair, std::int64_t n_queries,
                           std::int64_t n_codes) {
  if (!pair) return;
  const std::string label = name;
  const auto& [indptr, indices] = *pair;
  const auto n_entries = static_cast<std::int64_t>(indices.size());
  require(static_cast<std::int64_t>(indptr.size()) == n_queries + 1,
          label + " must have one list a query, " + std::to_string(n_queries) + ", got " +
              std::to_string(static_cast<std::int64_t>(indptr.size()) - 1));
  const std::int64_t* starts = indptr.data();
  require(starts[0] == 0 && starts[n_queries] == n_entries,
          label + " must have an indptr from 0 to its number of entries, " + std::to_string(n_entries));
  for (std::int64_t q = 0; q < n_queries; ++q)
    require(starts[q] <= starts[q + 1], label + " must have an indptr that never falls, it does at " + std::to_string(q));
  const std::int32_t* entries = indices.data();
  for (std::int64_t i = 0; i < n_entries; ++i)
    require(entries[i] >= 0 && entries[i] < n_codes,
            label + " must hold positions from 0 to " + std::to_string(n_codes - 1) + ", got " + std::to_string(entries[i]));
  bool is_sorted = true;
  for (std::int64_t q = 0; q < n_queries && is_sorted; ++q)
    is_sorted = std::is_sorted(entries + starts[q], entries + starts[q + 1]);
  if (!is_sorted) {
    sorted_.assign(entries, entries + n_entries);
    for (std::int64_t q = 0; q < n_queries; ++q)
      std::sort(sorted_.begin() + starts[q], sorted_.begin() + starts[q + 1]);
  }
  view_.indptr = starts;
  view_.indices = is_sorted ? entries : sorted_.data();
}

std::vector<std::uint32_t> pack_mask(const std::optional<Array<bool, 1>>& mask, std::int64_t n_codes) {
  if (!mask) return {};
  require(static_cast<std::int64_t>(mask->size()) == n_codes,
          "allowed must have one entry a code, " + std::to_string(n_codes) + ", got " + std::to_string(mask->size()));
  std::vector<std::uint32_t> bits(static_cast<std::size_t>(blocks_of(n_codes)), 0);
  // Read as bytes: a foreign array may hold other values than 0 and 1.
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(mask->data());
  for (std::int64_t i = 0; i < n_codes; ++i)
    if (bytes[i] != 0) bits[static_cast<std::size_t>(i / 32)] |= 1u << (i % 32);
  return bits;
}

}  // namespace hashgnn::python
