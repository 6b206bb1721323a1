// Multi-index hashing for Python.
#pragma once

#include <memory>

#include "../core/multi_index.hpp"
#include "code_table.hpp"

namespace hashgnn::python {

std::unique_ptr<HashTables> build_hash_tables(const Array<std::uint8_t, 2>& packed, int n_tables);
nb::tuple search_hashed(const HashTables& tables, const CodeTable& codes, const Array<std::int32_t, 1>& extra,
                        const Array<std::uint8_t, 2>& queries, const SearchArguments& arguments);

}  // namespace hashgnn::python
