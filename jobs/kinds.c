/* SPDX-License-Identifier: Apache-2.0
 * Every kind of work there is. Pure data. */
#include "jobs/access.h"
#include "jobs/collect.h"
#include "jobs/expire.h"
#include "jobs/history.h"
#include "jobs/job.h"
#include "jobs/keys.h"
#include "jobs/recount.h"
#include "jobs/seal.h"
#include "jobs/validate.h"
#include "jobs/webhooks.h"

const struct job_kind job_kinds[] = {
    {"expire-uploads", job_expire, job_expire_interval, DB_TASK_ITEMS, false},
    {"seal-version", job_seal, NULL, DB_TASK_BYTES, true},
    {"collect-garbage", job_collect, job_collect_interval, DB_TASK_ITEMS, false},
    {"recount-references", job_recount, job_recount_interval, DB_TASK_ITEMS, false},
    {"validate-library", job_validate, job_validate_interval, DB_TASK_BYTES, true},
    {"drop-history", job_history, job_history_interval, DB_TASK_ITEMS, false},
    {"check-keys", job_check_keys, job_check_keys_interval, DB_TASK_ITEMS, false},
    {"rotate-master-key", job_rotate_master_key, NULL, DB_TASK_ITEMS, false},
    {"watch-access", job_watch_access, job_watch_access_interval, DB_TASK_ITEMS, false},
    {"test-webhook", job_test_webhook, NULL, DB_TASK_ITEMS, false},
    {NULL, NULL, NULL, DB_TASK_ITEMS, false},
};
