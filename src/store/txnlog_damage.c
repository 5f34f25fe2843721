/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Is a bad entry the trace of a power loss, or is it corruption?
 *
 * Power loss hits only what was not synced: the last bytes of the log. A drive writes them sector
 * by sector, in any order, so that a sector was written or is as it was: zeros. Entries behind a
 * lost sector may be whole; none of them was acknowledged, since one sync covers them all.
 *
 * Corruption hits what was acknowledged. So it is corruption if the entry is whole but for one
 * byte (a flipped bit; also in the very last entry), or if good entries follow and no sector is
 * missing, or if more follows than can have waited for one sync. What is known of the last syncs
 * says more: txnlog_mark.c. */
#include "store_impl.h"

#include <zlib.h>

enum {
    SECTOR = 512,
    ADLER_BASE = 65521,
    FEW = 6,
    ENTRY_ZEROS = 4, /* that every entry begins with, lost or not */
};

size_t txn_entry_check(const uint8_t *p, size_t left)
{
    if (left < TXN_ENTRY_HEAD + TXN_HEADER_SIZE + TXN_ENTRY_TAIL || be32_get(p) != 0)
        return 0;
    size_t len = be32_get(p + 8);
    if (len < TXN_HEADER_SIZE || len > TXN_SIZE_MAX ||
        len > left - TXN_ENTRY_HEAD - TXN_ENTRY_TAIL || p[TXN_ENTRY_HEAD + len] != 'B')
        return 0;
    if (adler32(1, p + TXN_ENTRY_HEAD, (uInt)len) != be32_get(p + 4))
        return 0;
    return TXN_ENTRY_HEAD + len + TXN_ENTRY_TAIL;
}

/* Where the next good entry is behind what is at 0; `len` if there is none. */
static size_t find_entry(const uint8_t *data, size_t len, int64_t last_zxid)
{
    for (size_t at = 1; at + TXN_ENTRY_HEAD + TXN_HEADER_SIZE < len; at++) {
        if (data[at] == 0 && txn_zxid(data + at + TXN_ENTRY_HEAD) > last_zxid &&
            txn_entry_check(data + at, len - at) > 0)
            return at;
    }
    return len;
}

bool txnlog_has_entry(const uint8_t *data, size_t len, int64_t last_zxid)
{
    return find_entry(data, len, last_zxid) < len;
}

struct txnlog_found txnlog_find_entries(const uint8_t *data, size_t len, int64_t last_zxid)
{
    struct txnlog_found found = {0};
    for (size_t at = 0; (at += find_entry(data + at, len - at, last_zxid)) < len;) {
        last_zxid = txn_zxid(data + at + TXN_ENTRY_HEAD);
        found.first = found.n == 0 ? last_zxid : found.first;
        found.last = last_zxid;
        found.n++;
        at += txn_entry_check(data + at, len - at) - 1;
    }
    return found;
}

/* The byte of the transaction whose change explains why its checksum is `sum`, counted from the
 * entry's start; 0 if there is no such byte.
 *
 * A byte that is k bytes from the end (the last: 1) and d larger than it was adds d to the low
 * half of the checksum and k * d to the high half. */
static size_t changed_in_txn(const uint8_t *txn, size_t len, uint32_t sum)
{
    uint32_t now = (uint32_t)adler32(1, txn, (uInt)len);
    uint32_t low = ((now & 0xffff) + ADLER_BASE - (sum & 0xffff)) % ADLER_BASE;
    uint32_t high = ((now >> 16) + ADLER_BASE - (sum >> 16)) % ADLER_BASE;
    int32_t d = low < 256 ? (int32_t)low : (int32_t)low - ADLER_BASE;
    uint32_t product = 0;
    for (size_t k = 1; d != 0 && d > -256 && k <= len; k++) {
        product = (product + low) % ADLER_BASE;
        int32_t was = txn[len - k] - d;
        if (product == high && was >= 0 && was < 256)
            return TXN_ENTRY_HEAD + len - k;
    }
    return 0;
}

/* The same for the whole entry, its length known to be right; `len` if no one byte explains it. */
static size_t changed_byte(const uint8_t *data, size_t len, size_t txn_len)
{
    uint8_t sum[8];
    size_t changes = 0, at = len, tail = TXN_ENTRY_HEAD + txn_len;
    be64_put(sum, adler32(1, data + TXN_ENTRY_HEAD, (uInt)txn_len));
    for (size_t i = 0; i < sizeof(sum); i++) {
        if (data[i] != sum[i]) {
            at = i;
            changes++;
        }
    }
    if (data[tail] != 'B')
        return changes == 0 ? tail : len;
    if (changes <= 1)
        return at;
    size_t in_txn = changed_in_txn(data + TXN_ENTRY_HEAD, txn_len, be32_get(data + 4));
    return in_txn > 0 && be32_get(data) == 0 ? in_txn : len;
}

/* The one byte of the entry at 0 that is wrong, `len` if it is not so. `end`: one behind the
 * entry. */
static size_t one_wrong_byte(const uint8_t *data, size_t len, size_t *end)
{
    if (len < TXN_ENTRY_HEAD + TXN_HEADER_SIZE + TXN_ENTRY_TAIL)
        return len;
    size_t max = len - TXN_ENTRY_HEAD - TXN_ENTRY_TAIL;
    uint32_t stored = be32_get(data + 8);
    if (stored >= TXN_HEADER_SIZE && stored <= max) {
        *end = TXN_ENTRY_HEAD + stored + TXN_ENTRY_TAIL;
        return changed_byte(data, len, stored);
    }
    return len;
}

/* Is the length wrong by one byte, and all else right? */
static bool only_length_is_wrong(const uint8_t *data, size_t len)
{
    if (len < TXN_ENTRY_HEAD + TXN_HEADER_SIZE + TXN_ENTRY_TAIL || be32_get(data) != 0)
        return false;
    size_t max = len - TXN_ENTRY_HEAD - TXN_ENTRY_TAIL;
    for (uint32_t i = 0; i < 4 * 256; i++) {
        uint32_t shift = 8 * (i / 256);
        size_t n = (be32_get(data + 8) & ~(0xffu << shift)) | (i % 256) << shift;
        if (n >= TXN_HEADER_SIZE && n <= MIN(max, (size_t)TXN_SIZE_MAX) &&
            data[TXN_ENTRY_HEAD + n] == 'B' &&
            adler32(1, data + TXN_ENTRY_HEAD, (uInt)n) == be32_get(data + 4))
            return true;
    }
    return false;
}

static bool is_zero(const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (data[i] != 0)
            return false;
    }
    return true;
}

/* Is all of the entry that is in the sector of byte `at` missing? If that is its end, a few bytes,
 * then a sector of garbage may have all but one of them right by chance; but it shows behind them.
 */
static bool sector_part_is_lost(const uint8_t *data, size_t len, size_t end, uint64_t offset,
                                size_t at)
{
    size_t into = (size_t)((offset + at) % SECTOR);
    size_t from = at > into ? at - into : 0;
    size_t sector_end = MIN(len, at - into + SECTOR);
    size_t to = MIN(end, sector_end);
    if ((from + 1 == end && at == from) || is_zero(data + from, to - from))
        return true;
    return from > 0 && end < sector_end && end - from <= FEW &&
           !is_zero(data + end, sector_end - end) && txn_entry_check(data + end, len - end) == 0;
}

/* Is there a sector of zeros between the bad entry and the good one at `end`? The zeros that both
 * begin with say nothing about the sectors that they are in. */
static bool a_sector_is_lost(const uint8_t *data, size_t end, uint64_t offset)
{
    size_t head = SECTOR - (size_t)(offset % SECTOR);
    if (head > ENTRY_ZEROS && head <= end + ENTRY_ZEROS && is_zero(data, head))
        return true;
    for (size_t at = head; at + SECTOR <= end + ENTRY_ZEROS; at += SECTOR) {
        if (is_zero(data + at, SECTOR))
            return true;
    }
    return false;
}

bool txnlog_tail_is_torn(const uint8_t *data, size_t len, uint64_t offset, int64_t last_zxid)
{
    size_t end = 0;
    size_t behind = find_entry(data, len, last_zxid);
    if (behind < len && len > TXNLOG_UNSYNCED_MAX)
        return false;
    if (only_length_is_wrong(data, len))
        return false;
    size_t wrong = one_wrong_byte(data, len, &end);
    if (wrong < len && !sector_part_is_lost(data, len, end, offset, wrong))
        return false;
    return behind == len || a_sector_is_lost(data, behind, offset);
}
