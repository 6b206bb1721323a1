// How codes lie in memory, and how they get there.
//
// Codes are cut into slices of 16 bits and kept in blocks of 32 codes: a block holds slice 0 of its 32
// codes, then slice 1, and so on. One slice of a block is 64 bytes: a cache line, one AVX-512 register,
// two of AVX2, four of NEON. Lane i of every slice belongs to code i, so that distances add up lane by
// lane and no sum across lanes is ever needed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace hashgnn {

inline constexpr std::int64_t kBlock = 32;       // codes in a block, lanes of 16 bits
inline constexpr int kMaxBits = 1024;            // widest code that the kernels take
inline constexpr std::int64_t kMaxCodes = (std::int64_t{1} << 31) - kBlock;  // positions fit int32

constexpr int slices_of(int n_bits) { return (n_bits + 15) / 16; }
constexpr std::int64_t blocks_of(std::int64_t n_codes) { return (n_codes + kBlock - 1) / kBlock; }
constexpr std::int64_t words_of(std::int64_t n_codes, int n_bits) {
  return blocks_of(n_codes) * slices_of(n_bits) * kBlock;
}

// One slice of a packed code. A width that is no multiple of 16 ends in a byte of zeros.
inline std::uint16_t slice_at(const std::uint8_t* code, int n_bytes, int slice) {
  std::uint8_t bytes[2] = {code[2 * slice], 0};
  if (2 * slice + 1 < n_bytes) bytes[1] = code[2 * slice + 1];
  std::uint16_t value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

// Where slice 0 of a code lies; slice s is s * kBlock words further.
inline std::size_t word_offset(std::int64_t position, int n_slices) {
  return static_cast<std::size_t>((position / kBlock) * n_slices * kBlock + position % kBlock);
}

void pack_blocks(const std::uint8_t* packed, std::int64_t n_codes, int n_bits, std::int64_t first,
                 std::uint16_t* words);
void unpack_blocks(const std::uint16_t* words, std::int64_t first, std::int64_t n_codes, int n_bits,
                   std::uint8_t* packed);

}  // namespace hashgnn
