/* From floating numbers to integers, defined for every value: towards zero, what is out of range
 * becomes the nearest end of the range, NaN becomes 0. (C leaves those open, and ONNX too.)
 * The clamps come before the conversion, so that loops over them vectorise. */
#ifndef OZ_MODELS_NET_NUMBER_CAST_H
#define OZ_MODELS_NET_NUMBER_CAST_H
#include <stdint.h>

/* `last` is the largest F that T can hold; from `end` on the result is `max`. */
#define OZ_DEFINE_CAST(name, F, T, lowest, last, end, max)                                         \
    static inline T name(F v)                                                                      \
    {                                                                                              \
        F clamped = v == v ? v : 0;                                                                \
        clamped = clamped < (lowest) ? (lowest) : clamped;                                         \
        clamped = clamped > (last) ? (last) : clamped;                                             \
        T whole = (T)clamped;                                                                      \
        return v >= (end) ? (max) : whole;                                                         \
    }
OZ_DEFINE_CAST(oz_i32_of_f32, float, int32_t, -0x1p31f, 0x1.fffffep30f, 0x1p31f, INT32_MAX)
OZ_DEFINE_CAST(oz_i32_of_f64, double, int32_t, -0x1p31, 0x1.fffffffcp30, 0x1p31, INT32_MAX)
OZ_DEFINE_CAST(oz_i64_of_f32, float, int64_t, -0x1p63f, 0x1.fffffep62f, 0x1p63f, INT64_MAX)
OZ_DEFINE_CAST(oz_i64_of_f64, double, int64_t, -0x1p63, 0x1.fffffffffffffp62, 0x1p63, INT64_MAX)
OZ_DEFINE_CAST(oz_u8_of_f32, float, uint8_t, 0.0f, 255.0f, 256.0f, UINT8_MAX)
OZ_DEFINE_CAST(oz_u8_of_f64, double, uint8_t, 0.0, 255.0, 256.0, UINT8_MAX)
OZ_DEFINE_CAST(oz_i8_of_f32, float, int8_t, -128.0f, 127.0f, 128.0f, INT8_MAX)
OZ_DEFINE_CAST(oz_i8_of_f64, double, int8_t, -128.0, 127.0, 128.0, INT8_MAX)
#undef OZ_DEFINE_CAST
#endif
