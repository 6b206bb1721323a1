#include "hash_tables.hpp"

#include <algorithm>

#include "call.hpp"

namespace hashgnn::python {

std::unique_ptr<HashTables> build_hash_tables(const Array<std::uint8_t, 2>& packed, int n_tables) {
  const auto n_codes = static_cast<std::int64_t>(packed.shape(0));
  const auto n_bits = static_cast<std::int64_t>(packed.shape(1)) * 8;
  require(n_bits > 0 && n_bits <= kMaxBits && n_codes <= kMaxCodes, "codes must have between 8 and 1024 bits");
  require(n_tables >= 1 && n_tables <= n_bits && (n_bits + n_tables - 1) / n_tables <= kMaxPartBits,
          "n_tables must be between " + text((n_bits + kMaxPartBits - 1) / kMaxPartBits) + " and " + text(n_bits) + ", got " + text(n_tables));
  const nb::gil_scoped_release release;
  return std::make_unique<HashTables>(packed.data(), n_codes, static_cast<int>(n_bits), n_tables);
}

nb::tuple search_hashed(const HashTables& tables, const CodeTable& codes, const Array<std::int32_t, 1>& extra,
                        const Array<std::uint8_t, 2>& queries, const SearchArguments& arguments) {
  const Table& table = codes.table();
  check_arguments(arguments, table.n_codes);
  check_width(queries, table.n_bits, 8);
  require(tables.n_bits() == table.n_bits && tables.n_codes() <= table.n_codes, "hash tables must be of these codes");
  const std::int32_t* first = extra.data();
  const auto n_extra = static_cast<std::int64_t>(extra.size());
  require(std::all_of(first, first + n_extra, [&](std::int32_t p) { return p >= 0 && p < table.n_codes; }),
          "extra must hold positions of the codes");
  const auto n_queries = static_cast<std::int64_t>(queries.shape(0));
  Results results(n_queries, arguments.k, true);
  {
    const nb::gil_scoped_release release;
    const Call call(table.n_codes, arguments, n_queries, arguments.k);
    tables.search(table, first, n_extra, queries.data(), n_queries, call.filters, call.plan,
                  [&](std::int64_t q, const std::vector<Hit>& hits) { write_codes(results, table, arguments, q, hits); });
  }
  return results.hand_over();
}

}  // namespace hashgnn::python
