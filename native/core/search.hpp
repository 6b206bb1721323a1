// Exact search: the best k codes of every query.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "kernels.hpp"
#include "layout.hpp"
#include "queries.hpp"
#include "table.hpp"
#include "top_k.hpp"

namespace hashgnn {

struct SearchPlan {
  const Kernels* kernels;
  std::int64_t k;
  bool biased;     // add the penalties of the table
  int n_threads;
  bool ordered = true;  // false: hits may come in no order, for what ranks them by something else
};

// Hits of every query by value, then position, if they are to be ordered; fewer than k where fewer are left by the filters.
// `done(query, hits)` is called once a query, from any of the threads.
using Done = std::function<void(std::int64_t query, const std::vector<Hit>& hits)>;
void search(const Table& table, const Queries& queries, const Filters& filters, const SearchPlan& plan,
            const Done& done);

// A scan of blocks of a run for consecutive queries. Penalties, candidates, limits and hits are left to be set.
ScanJob scan_job(const Run& run, std::int64_t first_block, std::int64_t n_blocks, const Queries& queries,
                 std::int64_t first_query, std::int64_t n_queries);

// Value of one code for one query, as the scan computes it.
std::uint32_t value_of(const Segment& segment, std::int64_t position, const Queries& queries, std::int64_t query,
                       bool biased);

}  // namespace hashgnn
