#include "models/onnx/onnx_wire.h"
#include "models/net/net.h"

/* A graph takes three messages of depth: graph, node, attribute. */
enum { DEPTH_MAX = 3 * (OZ_NET_GRAPH_DEPTH_MAX + 2) };
enum { BLOCK_BYTES_MIN = 4096 };
/* Of the file's bytes, and at least. Parts that come twice are merged, each time by copying: many
 * of them take little memory and much work. */
enum { MEMORY_PER_BYTE = 16, TAKEN_PER_BYTE = 64 };
#define MEMORY_BYTES_MIN ((size_t)16 << 20)

void oz_onnx_wire_init(struct oz_onnx_wire *wire)
{
    *wire = (struct oz_onnx_wire){0};
    oz_arena_init(&wire->arena, 1 << 16);
}

/* A large piece: protobuf-c notes every element of a list in such, 40 bytes each, and gives them
 * back at the end of the message; kept, they would make up most of what a forest takes. The data
 * begin at an odd multiple of 8, those of the arena at a multiple of 16: so one can tell. */
struct oz_onnx_block {
    struct oz_onnx_block *next, *before;
    size_t n_bytes;
    uint64_t data[];
};

void oz_onnx_wire_clear(struct oz_onnx_wire *wire)
{
    while (wire->block) {
        struct oz_onnx_block *next = wire->block->next;
        oz_free(wire->block);
        wire->block = next;
    }
    oz_arena_clear(&wire->arena);
}

static void *take_block(struct oz_onnx_wire *wire, size_t n_bytes)
{
    struct oz_onnx_block *block = oz_malloc(sizeof *block + n_bytes);
    if (!block) return NULL;
    *block = (struct oz_onnx_block){.next = wire->block, .n_bytes = n_bytes};
    if (block->next) block->next->before = block;
    wire->block = block;
    return block->data;
}

static void *take(void *data, size_t n_bytes)
{
    struct oz_onnx_wire *wire = data;
    if (n_bytes > wire->n_bytes_max - wire->n_bytes ||
        n_bytes > wire->n_taken_max - wire->n_taken) {
        wire->is_over = true;
        return NULL;
    }
    wire->n_bytes += n_bytes;
    wire->n_taken += n_bytes;
    void *memory =
        n_bytes < BLOCK_BYTES_MIN ? oz_arena_get(&wire->arena, n_bytes) : take_block(wire, n_bytes);
    if (!memory) wire->no_memory = true;
    return memory;
}

static void give(void *data, void *memory)
{
    struct oz_onnx_wire *wire = data;
    if (((uintptr_t)memory & 15) == 0) return;
    struct oz_onnx_block *block = (void *)((uint8_t *)memory - sizeof *block);
    *(block->before ? &block->before->next : &wire->block) = block->next;
    if (block->next) block->next->before = block->before;
    wire->n_bytes -= block->n_bytes;
    oz_free(block);
}

_Static_assert(sizeof(struct oz_onnx_block) % 16 == 8, "give() tells blocks by their alignment");

/* ---- nesting ---- */

enum message { MODEL, GRAPH, NODE, ATTRIBUTE, FUNCTION, N_MESSAGES };

/* The fields through which messages nest without a bound: parent, field, child. */
static const struct {
    uint8_t parent, field, child;
} nests[] = {{MODEL, 7, GRAPH},        {MODEL, 25, FUNCTION}, {GRAPH, 1, NODE},
             {NODE, 5, ATTRIBUTE},     {ATTRIBUTE, 6, GRAPH}, {FUNCTION, 7, NODE},
             {FUNCTION, 11, ATTRIBUTE}};

static bool read_varint(const uint8_t *bytes, size_t n, size_t *at, uint64_t *ret_v)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64 && *at < n; shift += 7) {
        uint8_t byte = bytes[(*at)++];
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *ret_v = v;
            return true;
        }
    }
    return false;
}

static int child_of(unsigned parent, uint64_t field)
{
    for (size_t i = 0; i < OZ_COUNT_OF(nests); i++)
        if (nests[i].parent == parent && nests[i].field == field) return nests[i].child;
    return -1;
}

/* Skips the value of a field that is not followed. */
static bool skip(const uint8_t *bytes, size_t n, unsigned wire_type, size_t *at)
{
    uint64_t v;
    switch (wire_type) {
    case 0: return read_varint(bytes, n, at, &v);
    case 1: return n - *at >= 8 && (*at += 8, true);
    case 2: return read_varint(bytes, n, at, &v) && v <= n - *at && (*at += (size_t)v, true);
    case 5: return n - *at >= 4 && (*at += 4, true);
    }
    return false;
}

/* Walks the messages with a stack of its own. */
static enum oz_status check_nesting(const uint8_t *bytes, size_t n, struct oz_error *err)
{
    struct {
        unsigned message;
        size_t end;
    } open[DEPTH_MAX + 1];
    size_t depth = 0, at = 0;
    open[0].message = MODEL, open[0].end = n;
    for (;;) {
        while (depth && at == open[depth].end) depth--;
        if (at == open[depth].end) return OZ_OK;
        uint64_t tag, len;
        size_t end = open[depth].end, tag_at = at;
        if (!read_varint(bytes, end, &at, &tag))
            OZ_FAIL(err, OZ_MODEL, "the file is damaged at byte %zu", tag_at);
        int child = (tag & 7) == 2 ? child_of(open[depth].message, tag >> 3) : -1;
        if (child < 0) {
            if (!skip(bytes, end, (unsigned)(tag & 7), &at))
                OZ_FAIL(err, OZ_MODEL, "the file is cut short or damaged at byte %zu", tag_at);
            continue;
        }
        if (!read_varint(bytes, end, &at, &len) || len > end - at)
            OZ_FAIL(err, OZ_MODEL, "the file is cut short or damaged at byte %zu", tag_at);
        if (depth == DEPTH_MAX)
            OZ_FAIL(err, OZ_MODEL, "graphs are nested deeper than %d", OZ_NET_GRAPH_DEPTH_MAX);
        depth++;
        open[depth].message = (unsigned)child, open[depth].end = at + (size_t)len;
    }
}

static enum oz_status unpack(struct oz_onnx_wire *wire,
                             const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes,
                             size_t n, void *ret_message, struct oz_error *err)
{
    ProtobufCAllocator allocator = {.alloc = take, .free = give, .allocator_data = wire};
    if (n > SIZE_MAX / 2 / TAKEN_PER_BYTE) OZ_FAIL(err, OZ_MODEL, "a file of %zu bytes", n);
    wire->n_bytes = wire->n_taken = 0;
    wire->n_bytes_max = n * MEMORY_PER_BYTE + MEMORY_BYTES_MIN;
    wire->n_taken_max = n * TAKEN_PER_BYTE + MEMORY_BYTES_MIN;
    wire->is_over = wire->no_memory = false;
    ProtobufCMessage *message = protobuf_c_message_unpack(descriptor, &allocator, n, bytes);
    if (!message && wire->no_memory) return oz_no_memory(err);
    if (!message && wire->is_over)
        OZ_FAIL(err, OZ_MODEL, "reading it takes more memory than a file of %zu bytes may", n);
    if (!message) OZ_FAIL(err, OZ_MODEL, "the file is damaged: it is no protobuf of ONNX");
    *(ProtobufCMessage **)ret_message = message;
    return OZ_OK;
}

enum oz_status oz_onnx_wire_model(struct oz_onnx_wire *wire, const uint8_t *bytes, size_t n,
                                  const OzOnnx__Model **ret_model, struct oz_error *err)
{
    OZ_TRY(check_nesting(bytes, n, err));
    return unpack(wire, &oz_onnx__model__descriptor, bytes, n, ret_model, err);
}

enum oz_status oz_onnx_wire_tensor(struct oz_onnx_wire *wire, const uint8_t *bytes, size_t n,
                                   const OzOnnx__Tensor **ret_tensor, struct oz_error *err)
{
    return unpack(wire, &oz_onnx__tensor__descriptor, bytes, n, ret_tensor, err);
}
