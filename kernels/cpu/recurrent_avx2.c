#include "kernels/cpu/vec_avx2.h"
#include "kernels/cpu/recurrent_body.h"
