#include "kernels/cpu/vec_avx512.h"
#include "kernels/cpu/recurrent_body.h"
