/* SPDX-License-Identifier: GPL-3.0-or-later */
/* sim: runs of the simulator, from seeds or from a script. The seeds of a swarm are shared out
 * among processes; what they have covered comes together at the end. */
#include "sim.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    STEPS = 4000,
    SWARM = 600, /* so many seeds must cover all that is listed */
    DEEDS_SWARM = 60,
    MOUNTS_SWARM = 100,
};

static void on_crash(int sig)
{
    signal(sig, SIG_DFL);
    fflush(stdout);
    world_dump();
    fprintf(stderr, "crashed: signal %d\n", sig);
    _exit(SIM_CRASHED);
}

/* A process with its share of the seeds. It shares memory with the one that waits for it. */
struct job {
    pid_t pid;
    uint64_t seed; /* that is running */
    struct cover_count counts[COVER_SLOTS];
};

static void run_seeds(const struct sim_options *all, const struct sim_seeds *seeds, unsigned n,
                      struct job *job)
{
    coverage_begin(job->counts);
    for (uint64_t seed = seeds->from + n; seed <= seeds->to; seed += seeds->jobs) {
        struct sim_options options = *all;
        options.seed = job->seed = seed;
        draw_mounts(&options);
        world_run(&options);
    }
}

static void start_job(const struct sim_options *options, const struct sim_seeds *seeds, unsigned n,
                      struct job *job)
{
    pid_t pid = fork();
    if (pid == 0) {
        run_seeds(options, seeds, n, job);
        fflush(stdout);
        _exit(SIM_FINE);
    }
    ensure(pid > 0);
    job->pid = pid;
}

static struct job *find_job(struct job *jobs, unsigned n, pid_t pid)
{
    for (unsigned i = 0; i < n; i++) {
        if (jobs[i].pid == pid)
            return &jobs[i];
    }
    return NULL;
}

/* The status of the first that failed, and its seed; that ends the others. */
static int wait_for_jobs(struct job *jobs, unsigned n, uint64_t *seed)
{
    int result = SIM_FINE, status;
    for (pid_t pid; (pid = wait(&status)) > 0;) {
        struct job *job = find_job(jobs, n, pid);
        if (!job)
            continue;
        job->pid = 0;
        int code = WIFEXITED(status) ? WEXITSTATUS(status) : SIM_CRASHED;
        if (code == SIM_FINE || result != SIM_FINE)
            continue;
        result = code;
        *seed = job->seed;
        for (unsigned i = 0; i < n; i++) {
            if (jobs[i].pid > 0)
                kill(jobs[i].pid, SIGKILL);
        }
    }
    return result;
}

static int run_jobs(const struct sim_options *options, const struct sim_seeds *seeds)
{
    size_t size = seeds->jobs * sizeof(struct job);
    struct job *jobs = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct sim_options failed = *options;
    ensure(jobs != MAP_FAILED);
    for (unsigned i = 0; i < seeds->jobs; i++)
        start_job(options, seeds, i, &jobs[i]);
    int status = wait_for_jobs(jobs, seeds->jobs, &failed.seed);
    for (unsigned i = 0; i < seeds->jobs; i++)
        coverage_add(jobs[i].counts);
    munmap(jobs, size);
    draw_mounts(&failed);
    bool random = !options->script && !options->operators && options->breakage == BREAK_NOTHING;
    if (random && (status == SIM_BROKEN || status == SIM_STALLED || status == SIM_CRASHED))
        shrink(&failed, status);
    return status;
}

int main(int argc, char **argv)
{
    static struct job job;
    struct sim_options options = {.steps = STEPS, .draws_mounts = true};
    struct sim_seeds seeds = {1, 1, 1, false};
    int status = SIM_FINE;
    options_parse(argc, argv, &options, &seeds);
    signal(SIGABRT, on_crash);
    signal(SIGSEGV, on_crash);
    signal(SIGBUS, on_crash);
    signal(SIGFPE, on_crash);
    if (seeds.from < seeds.to)
        status = run_jobs(&options, &seeds);
    else
        run_seeds(&options, &seeds, 0, &job);
    if (seeds.coverage)
        coverage_print(stdout);
    enum cover_swarm kind = options.operators    ? COVER_OPERATORS
                            : options.mounts > 0 ? COVER_MOUNTS
                                                 : COVER_SERVERS;
    uint64_t enough = kind == COVER_OPERATORS ? DEEDS_SWARM
                      : kind == COVER_MOUNTS  ? MOUNTS_SWARM
                                              : SWARM;
    bool swarm = seeds.to - seeds.from + 1 >= enough && !options.script && options.voters == 0;
    if (status == SIM_FINE && swarm && !coverage_is_whole(stderr, kind))
        status = SIM_UNCOVERED;
    return status;
}
