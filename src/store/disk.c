/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is the same for every disk. */
#include "zab/disk.h"

#include <errno.h>

int disk_write(struct disk_file *f, const void *data, size_t len, uint64_t offset)
{
    for (size_t done = 0; done < len;) {
        int64_t n = f->disk->ops->write(f, (const uint8_t *)data + done, len - done, offset + done);
        if (n < 0)
            return (int)n;
        if (n == 0)
            return -EIO;
        done += (size_t)n;
    }
    return 0;
}
