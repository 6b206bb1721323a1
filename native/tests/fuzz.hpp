// Random calls of the kernels against plain loops: the codes, queries and filters of a call, and the checks of each kernel, each in a
// file of its own.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "../core/inverted.hpp"
#include "../core/layout.hpp"
#include "../core/log_sigmoids.hpp"
#include "../core/rerank.hpp"
#include "../core/search.hpp"

namespace hashgnn {

class Centres;
class OwnLists;
struct Grown;

class Fuzz {
 public:
  explicit Fuzz(std::uint64_t seed) : random_(seed) {}
  void call();
  void use(const Kernels* kernels) { kernels_ = kernels; }

 private:
  int between(int low, int high) { return low + static_cast<int>(random_() % static_cast<std::uint64_t>(high - low + 1)); }
  bool chance(int one_in) { return random_() % static_cast<std::uint64_t>(one_in) == 0; }

  [[noreturn]] void fail(const char* what) {
    std::fprintf(stderr, "%s differs: %s, %d bits, %lld codes, %lld queries, k=%lld, %d threads\n", what, kernels_->name,
                 n_bits_, static_cast<long long>(n_codes_), static_cast<long long>(n_queries_),
                 static_cast<long long>(k_), n_threads_);
    std::exit(1);
  }
  void make_codes();
  void make_filters();
  Lists make_lists(std::vector<std::int64_t>& starts, std::vector<std::int32_t>& entries);

  // Some codes in lists, with memory of their own.
  struct Lists32 {
    std::vector<std::int64_t> firsts = {0};
    std::vector<std::int32_t> slots;
    std::vector<std::uint16_t> words;
    std::vector<std::uint8_t> penalty;
    std::vector<std::uint32_t> alive;
    InvertedLists view;
  };
  void deal(std::int64_t begin, std::int64_t step, std::int64_t n_lists, Lists32& to);
  void search_lists(const Queries& queries, const SearchPlan& plan, const Done& done);
  void choose_promising(const InvertedLists& lists, const Centres& means, const std::uint8_t* penalties, const float* query);

  void grow(const InvertedLists& lists, const std::vector<std::int32_t>& slots, const InvertedLists* later,
            const std::uint32_t* allowed, OwnLists& own, Grown& grown, InvertedLists& view);
  std::vector<Hit> naive(const Queries& queries, std::int64_t q) const;
  std::uint32_t plain_value(const Queries& queries, std::int64_t q, std::int64_t i) const;
  void rank_again(const std::vector<Hit>& hits);
  void compare(const Stages& stages, const float* query, const std::vector<Hit>& hits);
  void rank_by_rows(const Embeddings& embeddings, const std::vector<Hit>& hits);
  void search_rows_in_lists();
  void multiply_centres();
  void draw_neighbours();
  void choose_some();
  void turn_to_sigmoids();
  void gather_among_items();
  void refine_some();
  template <class Type, class Entry>
  void turn_scores(const Type& type, Precision precision);

  std::mt19937_64 random_;
  const Kernels* kernels_ = nullptr;
  int n_bits_ = 8, n_threads_ = 1;
  std::int64_t n_codes_ = 0, n_queries_ = 0, k_ = 1;
  bool biased_ = false;
  std::vector<std::uint8_t> codes_, query_codes_, penalty_;
  std::vector<float> floats_;
  std::vector<std::uint16_t> words_;
  std::vector<std::uint32_t> alive_, allowed_;
  std::vector<std::int64_t> block_starts_, allow_starts_;
  std::vector<std::int32_t> block_, allow_;
  Table table_;
  Filters filters_;
};

}  // namespace hashgnn
