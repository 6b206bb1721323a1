// The one exception of the kernels: an argument breaks its rule. Its text is one sentence for the user.
#pragma once

#include <stdexcept>

namespace hashgnn {

struct InvalidArgument : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

}  // namespace hashgnn
