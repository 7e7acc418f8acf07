/* Lists of tile sizes, for bodies that are instantiated once per size: X(rows, ...). */
#ifndef OZ_KERNELS_CPU_TILE_LIST_H
#define OZ_KERNELS_CPU_TILE_LIST_H
#define OZ_ROWS_TO_3(X, ...) X(1, __VA_ARGS__) X(2, __VA_ARGS__) X(3, __VA_ARGS__)
#define OZ_ROWS_TO_6(X, ...)                                                                       \
    OZ_ROWS_TO_3(X, __VA_ARGS__) X(4, __VA_ARGS__) X(5, __VA_ARGS__) X(6, __VA_ARGS__)
#define OZ_ROWS_TO_8(X, ...) OZ_ROWS_TO_6(X, __VA_ARGS__) X(7, __VA_ARGS__) X(8, __VA_ARGS__)
#define OZ_ROWS_TO_12(X, ...)                                                                      \
    OZ_ROWS_TO_8(X, __VA_ARGS__)                                                                   \
    X(9, __VA_ARGS__) X(10, __VA_ARGS__) X(11, __VA_ARGS__) X(12, __VA_ARGS__)
#endif
