/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What follows when a draft's transaction did not simply succeed: each row of the decision. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/mount/model.h"

static void after_a_failure(void **state)
{
    static const struct {
        struct commit_failure f;
        enum commit_next next;
    } rows[] = {
        /* The connection was lost: only what was sent may have taken place. */
        {{.err = ZK_CONNECTIONLOSS, .sent = true}, COMMIT_VERIFY},
        {{.err = ZK_SESSIONEXPIRED, .sent = true}, COMMIT_VERIFY},
        {{.err = ZK_CONNECTIONLOSS, .sent = false}, COMMIT_AGAIN},
        {{.err = ZK_CONNECTIONLOSS, .sent = false, .late = true}, COMMIT_FAIL},
        {{.err = ZK_CONNECTIONLOSS, .sent = true, .late = true}, COMMIT_FAIL},
        {{.err = ZK_OPERATIONTIMEOUT}, COMMIT_FAIL},
        /* It was made meanwhile. */
        {{.err = ZK_NODEEXISTS, .life = NODE_PENDING}, COMMIT_SET},
        {{.err = ZK_NODEEXISTS, .life = NODE_PENDING, .late = true}, COMMIT_FAIL},
        /* Somebody wrote it meanwhile. */
        {{.err = ZK_BADVERSION, .mode = DRAFT_APPEND, .life = NODE_LIVE}, COMMIT_AGAIN},
        {{.err = ZK_BADVERSION, .mode = DRAFT_EDIT, .life = NODE_LIVE}, COMMIT_FAIL},
        /* It is gone. */
        {{.err = ZK_NONODE, .life = NODE_PENDING, .exists = true}, COMMIT_CREATE},
        {{.err = ZK_NONODE, .life = NODE_PENDING}, COMMIT_FAIL},
        {{.err = ZK_NONODE, .life = NODE_LIVE, .moved = true}, COMMIT_AGAIN},
        {{.err = ZK_NONODE, .life = NODE_LIVE, .may_create = true}, COMMIT_CREATE},
        {{.err = ZK_NONODE, .life = NODE_GONE, .may_create = true, .anew = true}, COMMIT_FAIL},
        {{.err = ZK_NONODE, .life = NODE_LIVE}, COMMIT_NOWHERE},
        /* What stays as it is. */
        {{.err = ZK_NOAUTH, .life = NODE_LIVE}, COMMIT_FAIL},
        {{.err = ZK_QUOTAEXCEEDED, .life = NODE_LIVE}, COMMIT_FAIL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (decide_after_failure(&rows[i].f) != rows[i].next)
            fail_msg("row %zu: %d, not %d", i, decide_after_failure(&rows[i].f), rows[i].next);
    }
}

static void after_a_look(void **state)
{
    static const struct {
        struct commit_look l;
        enum commit_next next;
    } rows[] = {
        {{.gone = true}, COMMIT_AGAIN},
        /* The version of before: it did not take place. */
        {{.mode = DRAFT_APPEND, .version = 3, .now = 3}, COMMIT_AGAIN},
        {{.mode = DRAFT_EDIT, .version = 3, .now = 3, .same = true}, COMMIT_AGAIN},
        {{.mode = DRAFT_APPEND, .version = 3, .now = 3, .begins = true}, COMMIT_AGAIN},
        /* A later one, with what was sent. */
        {{.mode = DRAFT_EDIT, .version = 3, .now = 4, .same = true, .begins = true}, COMMIT_LANDED},
        {{.mode = DRAFT_WHOLE, .version = 3, .now = 9, .same = true, .begins = true},
         COMMIT_LANDED},
        {{.mode = DRAFT_WHOLE, .version = -1, .now = 0, .same = true}, COMMIT_LANDED},
        {{.mode = DRAFT_APPEND, .version = 3, .now = 6, .begins = true}, COMMIT_LANDED},
        {{.mode = DRAFT_EDIT, .version = 3, .now = 6, .begins = true}, COMMIT_UNKNOWN},
        /* The next one, with something else: somebody else made it. */
        {{.mode = DRAFT_APPEND, .version = 3, .now = 4}, COMMIT_AGAIN},
        {{.mode = DRAFT_EDIT, .version = 3, .now = 4}, COMMIT_RACED},
        /* One after that: ours may be below. */
        {{.mode = DRAFT_APPEND, .version = 3, .now = 5}, COMMIT_UNKNOWN},
        {{.mode = DRAFT_EDIT, .version = 3, .now = 5}, COMMIT_UNKNOWN},
        {{.mode = DRAFT_WHOLE, .version = 3, .now = 5}, COMMIT_AGAIN},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (decide_after_look(&rows[i].l) != rows[i].next)
            fail_msg("row %zu: %d, not %d", i, decide_after_look(&rows[i].l), rows[i].next);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(after_a_failure),
        cmocka_unit_test(after_a_look),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
