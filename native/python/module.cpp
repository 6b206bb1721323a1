// The extension module hashgnn._native.
#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include "../core/layout.hpp"
#include "call.hpp"
#include "choosing.hpp"
#include "code_table.hpp"
#include "gram.hpp"
#include "hash_tables.hpp"
#include "inverted_table.hpp"
#include "listed_rows.hpp"
#include "log_sigmoids.hpp"
#include "neighbours.hpp"
#include "refining.hpp"
#include "stages.hpp"

namespace nb = nanobind;
using namespace nb::literals;
using namespace hashgnn;
using namespace hashgnn::python;

namespace {

using Target = nb::ndarray<std::uint16_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using ByteTarget = nb::ndarray<std::uint8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

// Blocks of a run that has room for the codes.
std::int64_t checked_blocks(std::size_t n_words, std::int64_t first, std::int64_t n_codes, int n_bits) {
  require(n_bits > 0 && n_bits % 8 == 0 && n_bits <= kMaxBits, "n_bits must be a multiple of 8 from 8 to 1024");
  const std::int64_t of_block = words_of(1, n_bits);
  const std::int64_t n_blocks = static_cast<std::int64_t>(n_words) / of_block;
  require(n_blocks * of_block == static_cast<std::int64_t>(n_words), "words must fill whole blocks");
  require(first >= 0 && n_codes >= 0 && first <= kMaxCodes - n_codes && blocks_of(first + n_codes) <= n_blocks,
          "words must have room for the codes");
  return n_blocks;
}

void pack(const Array<std::uint8_t, 2>& packed, Target words, std::int64_t first) {
  const int n_bits = static_cast<int>(std::min<std::size_t>(packed.shape(1), 1024) * 8);
  const auto n_codes = static_cast<std::int64_t>(packed.shape(0));
  const std::int64_t n_blocks = checked_blocks(words.size(), first, n_codes, n_bits);
  const nb::gil_scoped_release release;
  pack_blocks(packed.data(), n_codes, n_bits, first, words.data(), n_blocks);
}

void unpack(const Words& words, std::int64_t first, ByteTarget packed) {
  const int n_bits = static_cast<int>(std::min<std::size_t>(packed.shape(1), 1024) * 8);
  const auto n_codes = static_cast<std::int64_t>(packed.shape(0));
  const std::int64_t n_blocks = checked_blocks(words.size(), first, n_codes, n_bits);
  const nb::gil_scoped_release release;
  unpack_blocks(words.data(), n_blocks, first, n_codes, n_bits, packed.data());
}

}  // namespace

NB_MODULE(_native, module) {
  module.doc() = "Kernels of hashgnn.index, hashgnn.graph and hashgnn.nn; the classes there check and document what is passed here.";
  nb::register_exception_translator([](const std::exception_ptr& error, void*) {
    try {
      std::rethrow_exception(error);
    } catch (const InvalidArgument& refused) {
      PyErr_SetString(nb::module_::import_("hashgnn.errors").attr("ParameterError").ptr(), refused.what());
    }
  });
  module.attr("BLOCK") = kBlock;
  module.attr("MAX_BITS") = kMaxBits;
  module.attr("MAX_CODES") = kMaxCodes;
  module.def("simd", [] { return std::string(kernels().name); });
  module.def("words_of", [](std::int64_t n_codes, int n_bits) { return words_of(n_codes, n_bits); }, "n_codes"_a, "n_bits"_a);
  module.def("near_words_of", [](std::int64_t n_codes, int n_bits) {
    return blocks_of(n_codes) * near_slices_of(slices_of(n_bits)) * kBlock;
  }, "n_codes"_a, "n_bits"_a);
  module.def("pack", &pack, "packed"_a, "words"_a.noconvert(), "first"_a);
  module.def("unpack", &unpack, "words"_a, "first"_a, "packed"_a.noconvert());

  nb::class_<SearchArguments>(module, "SearchArguments")
      .def(nb::init<std::int64_t, bool, float, std::optional<CheckedLists::Pair>, std::optional<CheckedLists::Pair>,
                    std::optional<Mask>, int, double>(),
           "k"_a, "biased"_a, "top"_a, "block_per_query"_a.none(), "allow_per_query"_a.none(), "allow_all"_a.none(),
           "n_threads"_a, "share"_a = 1.0)
      .def("check_filter", &check_filter, "n_queries"_a, "n_codes"_a);
  module.def("row_step", &row_step, "bits"_a);
  module.def("row_entries", &entries_of, "n_bytes"_a, "bits"_a);
  module.attr("MAX_ROW_ENTRIES") = kMaxRowEntries;
  nb::class_<QuantisedTable>(module, "QuantisedTable")
      .def(nb::init<int, std::int64_t, const RowBytes&, const Matrix&, const Matrix&, const Array<float, 1>&>(), "bits"_a,
           "n_entries"_a, "rows"_a, "of_items"_a, "of_queries"_a, "centre"_a)
      .def("__len__", &QuantisedTable::size)
      .def("quantise", &QuantisedTable::quantise, "embeddings"_a, "rows"_a.noconvert(), "n_threads"_a);
  nb::class_<StageTables>(module, "Stages")
      .def(nb::init<std::int64_t, const QuantisedTable*, std::int64_t, const std::optional<Rows>&,
                    const std::optional<Array<float, 1>>&>(),
           nb::keep_alive<1, 3>(), "n_candidates"_a, "quantised"_a.none(),
           "n_refined"_a, "floats"_a.none(), "scale"_a.none());
  nb::class_<CodeTable>(module, "CodeTable")
      .def(nb::init<int, std::vector<SegmentArrays>>(), "n_bits"_a, "segments"_a)
      .def("__len__", &CodeTable::size)
      .def_prop_ro("n_bits", &CodeTable::n_bits)
      .def("search_codes", &CodeTable::search_codes, "queries"_a, "arguments"_a)
      .def("search_floats", &CodeTable::search_floats, "queries"_a, "n_planes"_a, "arguments"_a)
      .def("search_hierarchical", &CodeTable::search_hierarchical, "queries"_a, "embeddings"_a, "stages"_a,
           "arguments"_a);
  nb::class_<InvertedTable>(module, "InvertedTable")
      .def(nb::init<int, std::int64_t, const Array<std::int64_t, 1>&, const Words&, const std::optional<Bytes>&,
                    const Bits&, const Array<std::int32_t, 1>&, const std::optional<RowBytes>&>(),
           "n_bits"_a, "n_codes"_a, "first_blocks"_a, "words"_a, "penalty"_a.none(), "alive"_a, "positions"_a,
           "rows"_a.none() = nb::none())
      .def_prop_ro("has_penalty", [](const InvertedTable& table) { return table.lists().penalty != nullptr; })
      .def_prop_ro("n_own_bytes", &InvertedTable::n_own_bytes)
      .def("allowed", &allowed_table, "mask"_a, "room"_a = 0)
      .def("grown", &grown_table, "lists"_a, "extra"_a.none(), "gone"_a, "added"_a, "later"_a, "n_codes"_a);
  module.def("allowed_list", &allowed_list, "lists"_a, "extra"_a.none(), "mask"_a, "room"_a = 0);
  module.def("search_inverted_codes", &search_inverted_codes, "lists"_a, "extra"_a.none(), "centroids"_a, "n_probe"_a,
             "queries"_a, "arguments"_a);
  nb::class_<ListMeans>(module, "ListMeans")
      .def(nb::init<const InvertedTable&>(), "lists"_a)
      .def_prop_ro("n_bytes", &ListMeans::n_bytes);
  module.def("search_inverted_floats", &search_inverted_floats, "lists"_a, "extra"_a.none(), "centroids"_a, "means"_a.none(), "n_probe"_a,
             "queries"_a, "n_planes"_a, "arguments"_a);
  module.def("search_inverted_hierarchical", &search_inverted_hierarchical, "lists"_a, "extra"_a.none(), "centroids"_a,
             "n_probe"_a, "queries"_a, "embeddings"_a, "stages"_a, "arguments"_a);
  nb::class_<CentreTable>(module, "CentreTable")
      .def(nb::init<const Matrix&, const std::optional<Array<float, 1>>&>(), "rows"_a, "radii"_a.none() = nb::none())
      .def_prop_ro("n_bytes", &CentreTable::n_bytes)
      .def("nearest", &CentreTable::nearest, "embeddings"_a, "n_centres"_a, "n_threads"_a, "n_groups"_a = 16);
  module.def("add_to_lists", &add_to_lists, "embeddings"_a, "lists"_a, "sums"_a.noconvert(), "counts"_a.noconvert());
  module.def("search_listed", &search_listed_rows, "lists"_a, "extra"_a.none(), "centres"_a, "n_probe"_a, "quantised"_a,
             "embeddings"_a, "n_refined"_a, "floats"_a.none(), "scale"_a.none(), "arguments"_a);
  nb::class_<HashTables>(module, "HashTables")
      .def(nb::new_(&build_hash_tables), "packed"_a, "n_tables"_a)
      .def_prop_ro("n_bytes", &HashTables::n_bytes);
  nb::class_<LargestTable>(module, "LargestTable")
      .def(nb::init<const Array<std::int32_t, 2>&, const Array<float, 2>&>(), "columns"_a, "values"_a)
      .def("gather", &LargestTable::gather, "items"_a, "places"_a.noconvert(), "gram"_a.noconvert());
  nb::class_<NeighbourTable>(module, "NeighbourTable")
      .def(nb::init<const Array<std::int64_t, 1>&, const Array<std::int32_t, 1>&>(), "starts"_a, "indices"_a)
      .def_prop_ro("n_nodes", &NeighbourTable::n_nodes)
      .def("draw", &NeighbourTable::draw, "parents"_a, "fan_out"_a, "seed"_a)
      .def("has_edges", &NeighbourTable::has_edges, "from_nodes"_a, "to_nodes"_a);
  module.def("drop_repeats", &drop_repeated_items, "items"_a.noconvert(), "n_items"_a, "n_threads"_a);
  module.def("score_pairs", &score_items, "queries"_a, "table"_a, "items"_a, "scores"_a.noconvert(), "n_threads"_a);
  module.def("refine_codes", &refine_signs, "queries"_a, "items"_a, "wanted"_a, "weights"_a, "bias"_a, "k"_a, "temperature"_a,
             "least_curvature"_a, "signs"_a.noconvert(), "n_threads"_a);
  module.def("log_sigmoids", &log_sigmoids<float>, "scores"_a.noconvert(), "levels"_a, "temperature"_a, "log_counts"_a.none(),
             "n_above"_a.noconvert(), "n_threads"_a);
  module.def("log_sigmoids", &log_sigmoids<std::int16_t>, "scores"_a.noconvert(), "levels"_a, "temperature"_a, "log_counts"_a.none(),
             "n_above"_a.noconvert(), "n_threads"_a);
  module.def("times_derivatives", &times_derivatives<float>, "values"_a.noconvert(), "turned"_a.noconvert(), "temperature"_a,
             "log_counts"_a.none(), "n_threads"_a);
  module.def("times_derivatives", &times_derivatives<std::int16_t>, "values"_a.noconvert(), "turned"_a.noconvert(), "temperature"_a,
             "log_counts"_a.none(), "n_threads"_a);
  module.def("choose_rows", &choose_rows, "codes"_a, "n_chosen"_a, "relevance"_a, "penalty"_a, "groups"_a, "caps"_a, "k"_a);
  module.def("search_hashed", &search_hashed, "tables"_a, "codes"_a, "extra"_a, "queries"_a, "arguments"_a);
}
