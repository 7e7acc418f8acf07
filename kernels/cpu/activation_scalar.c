#include "kernels/cpu/vec_scalar.h"
#include "kernels/cpu/activation_body.h"
