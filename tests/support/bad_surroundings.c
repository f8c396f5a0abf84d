/* Bad surroundings for one process: preloaded, it sees every call that would reach the disk or the
 * wall clock, of SQLite's as of Python's. What is wrong at present stands in a file in shared
 * memory, so that a test can change it at any time; see surroundings.py.
 *
 * Only paths below one folder are refused. The steady clocks are left alone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static volatile struct {
    int64_t error;         /* errno of every refused call; 0 while the disk is well */
    int64_t clock_seconds; /* added to the wall clock */
    int64_t refused;       /* counted for the test */
} *now;
static const char *folder;
static size_t folder_length;

__attribute__((constructor)) static void look_around(void) {
    const char *path = getenv("SURROUNDINGS_FILE");
    folder = getenv("SURROUNDINGS_FOLDER");
    if (!path || !folder) return;
    folder_length = strlen(folder);
    int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    void *shared = mmap(NULL, sizeof *now, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (shared != MAP_FAILED) now = shared;
}

static int refuse(void) {
    __atomic_fetch_add(&now->refused, 1, __ATOMIC_RELAXED);
    errno = (int)now->error;
    return 1;
}

static int below(const char *path) {
    return path && !strncmp(path, folder, folder_length);
}

/* A full disk refuses only what needs more of it, an unreadable one everything. */
enum kind { READS, FREES, WRITES };

static int bad(enum kind kind) {
    if (!now || !now->error) return 0;
    switch (now->error) {
        case EIO: return 1;
        case ENOSPC: return kind == WRITES;
        default: return kind != READS;
    }
}

static int bad_path(enum kind kind, const char *path) {
    return bad(kind) && below(path) && refuse();
}

static int bad_fd(enum kind kind, int fd) {
    char link[64], path[4096];
    if (!bad(kind)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return below(path) && refuse();
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define PATH_CALL(result, name, kind, path, parameters, arguments) \
    result name parameters { return bad_path(kind, path) ? -1 : REAL(name) arguments; }
#define FD_CALL(result, name, kind, parameters, arguments) \
    result name parameters { return bad_fd(kind, fd) ? -1 : REAL(name) arguments; }

PATH_CALL(int, rename, FREES, to, (const char *from, const char *to), (from, to))
PATH_CALL(int, unlink, FREES, path, (const char *path), (path))
PATH_CALL(int, rmdir, FREES, path, (const char *path), (path))
PATH_CALL(int, mkdir, WRITES, path, (const char *path, mode_t mode), (path, mode))
PATH_CALL(int, symlink, WRITES, path, (const char *target, const char *path), (target, path))
PATH_CALL(int, chmod, FREES, path, (const char *path, mode_t mode), (path, mode))
FD_CALL(ssize_t, write, WRITES, (int fd, const void *data, size_t size), (fd, data, size))
FD_CALL(ssize_t, pwrite, WRITES, (int fd, const void *data, size_t size, off_t at), (fd, data, size, at))
FD_CALL(ssize_t, pwrite64, WRITES, (int fd, const void *data, size_t size, off64_t at), (fd, data, size, at))
FD_CALL(ssize_t, read, READS, (int fd, void *data, size_t size), (fd, data, size))
FD_CALL(ssize_t, pread, READS, (int fd, void *data, size_t size, off_t at), (fd, data, size, at))
FD_CALL(ssize_t, pread64, READS, (int fd, void *data, size_t size, off64_t at), (fd, data, size, at))
FD_CALL(int, fsync, FREES, (int fd), (fd))
FD_CALL(int, fdatasync, FREES, (int fd), (fd))
FD_CALL(int, ftruncate, FREES, (int fd, off_t size), (fd, size))
FD_CALL(int, ftruncate64, FREES, (int fd, off64_t size), (fd, size))

static enum kind opening(const char *path, int flags) {
    if ((flags & O_CREAT) && access(path, F_OK)) return WRITES;
    return (flags & O_ACCMODE) == O_RDONLY ? READS : FREES;
}

#define OPEN(name)                                      \
    int name(const char *path, int flags, ...) {        \
        va_list more;                                   \
        va_start(more, flags);                          \
        mode_t mode = va_arg(more, mode_t);             \
        va_end(more);                                   \
        if (bad_path(opening(path, flags), path)) return -1; \
        return REAL(name)(path, flags, mode);           \
    }
OPEN(open)
OPEN(open64)

int clock_gettime(clockid_t id, struct timespec *time) {
    int failed = REAL(clock_gettime)(id, time);
    if (!failed && now && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        time->tv_sec += now->clock_seconds;
    return failed;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    int failed = REAL(gettimeofday)(time, zone);
    if (!failed && now) time->tv_sec += now->clock_seconds;
    return failed;
}

time_t time(time_t *kept) {
    struct timespec read;
    clock_gettime(CLOCK_REALTIME, &read);
    if (kept) *kept = read.tv_sec;
    return read.tv_sec;
}
