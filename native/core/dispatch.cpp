#include <cstdlib>
#include <cstring>
#include <string>

#include "errors.hpp"
#include "kernels.hpp"

namespace hashgnn {

const Kernels* kernels_named(const char* name) {
  if (std::strcmp(name, "avx512") == 0) return avx512_kernels();
  if (std::strcmp(name, "avx2") == 0) return avx2_kernels();
  if (std::strcmp(name, "neon") == 0) return neon_kernels();
  if (std::strcmp(name, "portable") == 0) return portable_kernels();
  return nullptr;
}

namespace {

const Kernels& choose() {
  if (const char* forced = std::getenv("HASHGNN_SIMD"); forced != nullptr && *forced != '\0') {
    if (const Kernels* found = kernels_named(forced)) return *found;
    throw InvalidArgument("HASHGNN_SIMD must name an instruction set of this processor (avx512, avx2, neon or "
                          "portable), got '" + std::string(forced) + "'");
  }
  for (const char* name : {"avx512", "avx2", "neon"}) {
    if (const Kernels* found = kernels_named(name)) return *found;
  }
  return *portable_kernels();
}

}  // namespace

const Kernels& kernels() {
  static const Kernels& chosen = choose();
  return chosen;
}

}  // namespace hashgnn
