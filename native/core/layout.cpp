#include "layout.hpp"

namespace hashgnn {

// The rest of the blocks that the codes lie in is left as it is.
void pack_blocks(const std::uint8_t* packed, std::int64_t n_codes, int n_bits, std::int64_t first,
                 std::uint16_t* words, std::int64_t n_blocks) {
  const Run run(words, n_blocks, n_bits);
  const int n_bytes = n_bits / 8;
  for (std::int64_t i = 0; i < n_codes; ++i)
    for (int s = 0; s < run.n_slices; ++s)
      words[run.word(first + i, s) - words] = slice_at(packed + i * n_bytes, n_bytes, s);
}

void unpack_blocks(const std::uint16_t* words, std::int64_t n_blocks, std::int64_t first, std::int64_t n_codes,
                   int n_bits, std::uint8_t* packed) {
  const Run run(words, n_blocks, n_bits);
  const int n_bytes = n_bits / 8;
  for (std::int64_t i = 0; i < n_codes; ++i) {
    std::uint8_t* code = packed + i * n_bytes;
    for (int s = 0; s < run.n_slices; ++s) {
      std::uint8_t bytes[2];
      std::memcpy(bytes, run.word(first + i, s), 2);
      code[2 * s] = bytes[0];
      if (2 * s + 1 < n_bytes) code[2 * s + 1] = bytes[1];
    }
  }
}

}  // namespace hashgnn
