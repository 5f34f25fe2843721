/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "process.h"

#include <dirent.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

void process_raise_file_limit(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

int64_t process_count_open_files(void)
{
    int64_t n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

char *process_envi_text(const struct config *c)
{
    struct buf b = {0};
    struct utsname u;
    char cwd[4096] = "", host[256] = "";
    uname(&u);
    gethostname(host, sizeof(host) - 1);
    if (!getcwd(cwd, sizeof(cwd)))
        cwd[0] = '\0';
    buf_printf(&b,
               "host.name=%s\njava.version=none\nos.name=%s\nos.arch=%s\nos.version=%s\nuser.dir=%"
               "s\nconfig=%s\n",
               host, u.sysname, u.machine, u.release, cwd, c->path);
    *buf_extend(&b, 1) = '\0';
    return (char *)b.data;
}
