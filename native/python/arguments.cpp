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
    if (starts[q] > starts[q + 1]) fail(label + " must have an indptr that never falls, it does at " + std::to_string(q));
  const std::int32_t* entries = indices.data();
  for (std::int64_t i = 0; i < n_entries; ++i)
    if (entries[i] < 0 || entries[i] >= n_codes)
      fail(label + " must hold positions from 0 to " + std::to_string(n_codes - 1) + ", got " + std::to_string(entries[i]));
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

const std::uint32_t* checked_mask(const std::optional<Mask>& mask, std::int64_t n_codes) {
  if (!mask) return nullptr;
  const auto& [n_entries, bits] = *mask;
  require(n_entries == n_codes,
          "allow_all must have one entry a code, " + std::to_string(n_codes) + ", got " + std::to_string(n_entries));
  require(static_cast<std::int64_t>(bits.size()) == blocks_of(n_codes), "bits of allow_all must have a word a block");
  return bits.data();
}

}  // namespace hashgnn::python
