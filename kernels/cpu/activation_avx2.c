#include "kernels/cpu/vec_avx2.h"
#include "kernels/cpu/activation_body.h"
