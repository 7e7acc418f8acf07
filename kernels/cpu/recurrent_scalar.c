#include "kernels/cpu/vec_scalar.h"
#include "kernels/cpu/recurrent_body.h"
