#include "choice.hpp"

#include <algorithm>
#include <cstddef>
#include <unordered_map>

namespace hashgnn {
namespace {

// What was known of a candidate when it was last compared: its value may have fallen since.
struct Entry {
  double value;
  std::int64_t row;
  std::int64_t n_compared;  // of the chosen
  std::uint32_t least;      // distance to them
};

bool is_worse(const Entry& a, const Entry& b) { return a.value != b.value ? a.value < b.value : a.row > b.row; }

class Chooser {
 public:
  Chooser(const Kernels& kernels, const Choices& choices, std::int64_t k)
      : kernels_(kernels), of_(choices), k_(k), counts_(static_cast<std::size_t>(choices.n_caps)) {
    chosen_.capped.assign(static_cast<std::size_t>(of_.n_caps), 0);
    codes_.reserve(static_cast<std::size_t>((of_.n_chosen + k) * of_.n_words));
    for (std::int64_t row = 0; row < of_.n_chosen; ++row) keep(row);
    for (std::int64_t row = of_.n_chosen; row < of_.n; ++row)
      heap_.push_back({of_.relevance[row] - of_.penalty[of_.n_bits + 1], row, 0, of_.n_bits + 1});
    std::make_heap(heap_.begin(), heap_.end(), is_worse);
  }

  Chosen run() {
    while (!heap_.empty() && static_cast<std::int64_t>(chosen_.rows.size()) < k_) {
      std::pop_heap(heap_.begin(), heap_.end(), is_worse);
      Entry& best = heap_.back();
      if (best.n_compared < n_kept_) {
        compare(best);
        std::push_heap(heap_.begin(), heap_.end(), is_worse);
        continue;
      }
      const std::int64_t row = best.row;
      heap_.pop_back();
      if (!is_full(row)) {
        keep(row);
        chosen_.rows.push_back(row);
      }
    }
    return std::move(chosen_);
  }

 private:
  void compare(Entry& entry) const {
    entry.least = kernels_.least_distance(of_.codes + entry.row * of_.n_words, codes_.data() + entry.n_compared * of_.n_words,
                                          n_kept_ - entry.n_compared, of_.n_words, entry.least);
    entry.n_compared = n_kept_;
    entry.value = of_.relevance[entry.row] - of_.penalty[entry.least];
  }

  void keep(std::int64_t row) {
    const std::uint64_t* code = of_.codes + row * of_.n_words;
    codes_.insert(codes_.end(), code, code + of_.n_words);
    ++n_kept_;
    for (std::int64_t c = 0; c < of_.n_caps; ++c)
      if (const std::int32_t group = of_.groups[row * of_.n_caps + c]; group >= 0) ++counts_[static_cast<std::size_t>(c)][group];
  }

  // Whether a group of the candidate is full; it counts for the first cap that keeps it out.
  bool is_full(std::int64_t row) {
    for (std::int64_t c = 0; c < of_.n_caps; ++c) {
      const std::int32_t group = of_.groups[row * of_.n_caps + c];
      const auto& counts = counts_[static_cast<std::size_t>(c)];
      if (group < 0) continue;
      if (const auto found = counts.find(group); found != counts.end() && found->second >= of_.caps[c]) {
        ++chosen_.capped[static_cast<std::size_t>(c)];
        return true;
      }
    }
    return false;
  }

  const Kernels& kernels_;
  const Choices& of_;
  std::int64_t k_;
  std::vector<Entry> heap_;
  std::vector<std::uint64_t> codes_;  // of what is chosen, one after the other
  std::int64_t n_kept_ = 0;
  std::vector<std::unordered_map<std::int32_t, std::int64_t>> counts_;
  Chosen chosen_;
};

}  // namespace

Chosen choose(const Kernels& kernels, const Choices& choices, std::int64_t k) { return Chooser(kernels, choices, k).run(); }

}  // namespace hashgnn
