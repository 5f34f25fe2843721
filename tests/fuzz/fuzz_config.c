/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A zoo.cfg. What is accepted is within its bounds; what is not has a sentence that says why. */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config.h"
#include "fuzz.h"
#include "zab/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    struct config config;
    struct err e = {0};
    int fd = memfd_create("zoo.cfg", MFD_CLOEXEC);
    ensure(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    log_set_level(LOG_LEVEL_ERROR);
    int rc = config_load(&config, path, &e);
    if (rc == 0)
        ensure(config.data_dir && config.min_session_timeout_ms <= config.max_session_timeout_ms);
    else
        ensure(rc < 0 && e.code == rc && e.text[0]);
    config_close(&config);
    close(fd);
    return 0;
}
