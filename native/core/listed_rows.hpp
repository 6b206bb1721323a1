// Lists of embeddings by their nearest centre. A list holds rows of few bits: embeddings less the centre. A query reads the lists
// whose centres promise most, and floats may rank the best of their rows.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "centre_groups.hpp"
#include "centres.hpp"
#include "inverted.hpp"
#include "rerank.hpp"

namespace hashgnn {

struct ListedSearch {
  const InvertedLists* lists;   // with rows
  const InvertedLists* extra;   // one list that every query looks into, or null
  const Centres* centres;       // one a list, then that of `extra`
  const CentreGroups* groups;   // of the lists, or null: centres are compared one by one
  const QuantisedRows* asked;   // how rows are asked; its own are not read
  std::int64_t n_probe;         // lists a query where it may get every item; more where it may not
  std::int64_t n_codes;         // positions
  double share = 1.0;           // of the items that any query may get
  SlotsOf slots, extra_slots;
};

struct ListedPlan {
  const Kernels* kernels;
  std::int64_t k;
  const Embeddings* floats;     // or null: the order of the rows stands
  std::int64_t n_refined;       // with floats: the best by rows, which they rank; k or more
  int n_threads;
};

// The best k of every query. `done(query, best)` is called once a query, from any of the threads.
//
// With filters a query reads so many more lists that it sees half as many items that it may get as it would without, or k.
// Where it may get no more than that, these alone are compared.
using Ranked = std::function<void(std::int64_t query, const std::vector<Scored>& best)>;
void search_listed(const ListedSearch& index, const float* queries, std::int64_t n_queries, const Filters& filters,
                   const ListedPlan& plan, const Ranked& done);

}  // namespace hashgnn
