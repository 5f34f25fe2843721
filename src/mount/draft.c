/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What an open for writing has gathered, and has not committed yet.
 *
 * A draft begins as an edit of the version that is there, or, for O_APPEND, as bytes to be put
 * behind whatever will be there. A truncation to nothing makes it the whole content. */
#include "model.h"

#include <errno.h>

void draft_init(struct draft *d, bool append)
{
    *d = (struct draft){.mode = append ? DRAFT_APPEND : DRAFT_EDIT, .append = append};
}

void draft_close(struct draft *d)
{
    buf_close(&d->data);
}

bool draft_needs_base(const struct draft *d)
{
    return d->mode == DRAFT_EDIT && !d->loaded;
}

bool draft_needs_base_to_truncate(const struct draft *d, uint64_t size)
{
    return size > 0 && d->mode != DRAFT_WHOLE && !d->loaded;
}

void draft_load(struct draft *d, const struct content *base)
{
    struct buf whole = {0};
    ensure(d->mode != DRAFT_WHOLE && !d->loaded);
    buf_append(&whole, base->bytes, base->len);
    buf_append(&whole, d->data.data, d->data.len);
    buf_close(&d->data);
    d->data = whole;
    d->base = base->version;
    d->mode = DRAFT_EDIT;
    d->loaded = true;
}

void draft_begins(struct draft *d)
{
    if (d->mode == DRAFT_APPEND)
        d->mode = DRAFT_WHOLE;
}

/* The bytes up to `size`, zeros where there were none. */
static void set_size(struct draft *d, size_t size)
{
    if (size > d->data.len) {
        size_t more = size - d->data.len;
        memset(buf_extend(&d->data, more), 0, more);
    }
    d->data.len = size;
}

int draft_write(struct draft *d, struct slice data, uint64_t offset, size_t limit)
{
    ensure(!draft_needs_base(d));
    size_t len = slice_size(data);
    if (d->append)
        offset = d->data.len;
    if (d->too_large || offset > limit || len > limit - offset) {
        d->too_large = d->dirty = true;
        return -EFBIG;
    }
    if (len == 0)
        return 0;
    if (offset + len > d->data.len)
        set_size(d, (size_t)offset + len);
    memcpy(d->data.data + offset, data.data, len);
    d->dirty = d->written = true;
    return 0;
}

int draft_truncate(struct draft *d, uint64_t size, size_t limit)
{
    if (size > limit)
        return -EFBIG;
    d->cuts++;
    if (size == 0) {
        d->too_large = false;
        d->mode = DRAFT_WHOLE;
        buf_reset(&d->data);
    } else {
        ensure(!draft_needs_base(d));
        set_size(d, (size_t)size);
        d->written = true;
    }
    d->dirty = true;
    return 0;
}

size_t draft_size(const struct draft *d, size_t committed)
{
    if (draft_needs_base(d))
        return committed;
    return d->data.len + (d->mode == DRAFT_APPEND ? committed : 0);
}

struct slice draft_whole(const struct draft *d, const struct content *base, struct buf *joined)
{
    if (draft_needs_base(d))
        return content_slice(base);
    if (d->mode != DRAFT_APPEND)
        return buf_slice(&d->data);
    draft_result(d, base, joined);
    return buf_slice(joined);
}

void draft_result(const struct draft *d, const struct content *now, struct buf *out)
{
    if (d->mode == DRAFT_APPEND) {
        struct slice before = content_slice(now);
        buf_append(out, before.data, slice_size(before));
    }
    buf_append(out, d->data.data, d->data.len);
}

void draft_committed(struct draft *d, size_t sent, unsigned cuts, bool unchanged, int32_t version)
{
    d->base = version;
    if (d->append && d->cuts == cuts) {
        /* The next bytes are appended to what is there by then. */
        buf_consume(&d->data, MIN(sent, d->data.len));
        d->mode = DRAFT_APPEND;
        d->loaded = false;
    }
    if (unchanged)
        d->dirty = d->written = false;
}
