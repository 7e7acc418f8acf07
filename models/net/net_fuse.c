#include "models/net/net_fuse.h"

enum oz_status oz_net_fuse(struct oz_net *net, struct oz_error *err)
{
    (void)net, (void)err;
    return OZ_OK;
}
