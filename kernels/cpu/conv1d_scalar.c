#include "kernels/cpu/vec_scalar.h"
#include "kernels/cpu/conv1d_body.h"
