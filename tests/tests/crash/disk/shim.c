/* Makes calls on the files of a database fail. `disk.rs` compiles and preloads it.
 *
 * PERCOLATE_SHIM_DIRECTORY  the directory of the database
 * PERCOLATE_SHIM_FILES      pattern of the names of the files, as of fnmatch; `.` is the directory
 * PERCOLATE_SHIM_CALL       open, write, sync, read, rename or unlink
 * PERCOLATE_SHIM_ERROR      EIO, ENOSPC, torn (half of a write reaches the file, then EIO) or lost
 *                           (EIO, and what was not synced is replaced by zeros)
 * PERCOLATE_SHIM_FIRST      number of the first call that fails, from 1
 * PERCOLATE_SHIM_COUNT      how many calls fail from then on
 * PERCOLATE_SHIM_FAILED     a file that gets one byte for each call that failed
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum call { OPEN, WRITE, SYNC, READ, RENAME, UNLINK };
static const char *const CALLS[] = {"open", "write", "sync", "read", "rename", "unlink"};

static struct {
    const char *directory, *files;
    enum call call;
    int number, torn, lost;
    long first, count, seen;
    int failed;
} plan;

/* The lengths of files at their last successful sync. */
static struct synced {
    dev_t device;
    ino_t file;
    off_t length;
} synced[256];
static size_t synced_files;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static __thread int tearing;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static const char *setting(const char *name)
{
    const char *value = getenv(name);
    return value ? value : "";
}

__attribute__((constructor)) static void read_plan(void)
{
    const char *call = setting("PERCOLATE_SHIM_CALL"), *error = setting("PERCOLATE_SHIM_ERROR");
    plan.files = setting("PERCOLATE_SHIM_FILES");
    while (plan.call < UNLINK && strcmp(CALLS[plan.call], call) != 0)
        plan.call++;
    plan.torn = strcmp(error, "torn") == 0;
    plan.lost = strcmp(error, "lost") == 0;
    plan.number = strcmp(error, "ENOSPC") == 0 ? ENOSPC : EIO;
    plan.first = atol(setting("PERCOLATE_SHIM_FIRST"));
    plan.count = atol(setting("PERCOLATE_SHIM_COUNT"));
    plan.failed = REAL(open)(setting("PERCOLATE_SHIM_FAILED"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    plan.directory = setting("PERCOLATE_SHIM_DIRECTORY");
}

/* Returns whether the plan is about a call on this path. */
static int concerns(enum call call, const char *path)
{
    size_t length = strlen(plan.directory);
    const char *slash = strrchr(path, '/');
    if (length == 0 || call != plan.call || strncmp(path, plan.directory, length) != 0)
        return 0;
    if (path[length] == '\0')
        return strcmp(plan.files, ".") == 0;
    return path[length] == '/' && fnmatch(plan.files, slash + 1, 0) == 0;
}

/* Returns whether this call fails, and counts it. */
static int fails(void)
{
    pthread_mutex_lock(&lock);
    long number = ++plan.seen;
    pthread_mutex_unlock(&lock);
    if (number < plan.first || number - plan.first >= plan.count)
        return 0;
    if (REAL(write)(plan.failed, "x", 1) != 1)
        abort();
    errno = plan.number;
    return 1;
}

static int path_fails(enum call call, const char *path)
{
    return concerns(call, path) && fails();
}

static int concerns_file(enum call call, int file)
{
    char link[64], path[PATH_MAX];
    if (plan.directory == NULL || plan.directory[0] == '\0' || call != plan.call)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = '\0';
    return concerns(call, path);
}

static int file_fails(enum call call, int file)
{
    int saved = errno, failing = concerns_file(call, file) && fails();
    if (!failing)
        errno = saved;
    return failing;
}

/* Returns how many bytes of a write reach the file: all, half of them before a failure, or -1. */
static ssize_t allowed(int file, size_t length)
{
    if (tearing) {
        tearing = 0;
        errno = plan.number;
        return -1;
    }
    if (!file_fails(WRITE, file))
        return (ssize_t)length;
    if (!plan.torn || length < 2)
        return -1;
    tearing = 1;
    return (ssize_t)(length / 2);
}

ssize_t write(int file, const void *bytes, size_t length)
{
    ssize_t part = allowed(file, length);
    return part < 0 ? part : REAL(write)(file, bytes, (size_t)part);
}

ssize_t pwrite(int file, const void *bytes, size_t length, off_t offset)
{
    ssize_t part = allowed(file, length);
    return part < 0 ? part : REAL(pwrite)(file, bytes, (size_t)part, offset);
}

ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t offset)
{
    ssize_t part = allowed(file, length);
    return part < 0 ? part : REAL(pwrite64)(file, bytes, (size_t)part, offset);
}

ssize_t writev(int file, const struct iovec *parts, int count)
{
    return file_fails(WRITE, file) ? -1 : REAL(writev)(file, parts, count);
}

static struct synced *synced_length(const struct stat *file)
{
    size_t place = 0;
    while (place < synced_files &&
           (synced[place].device != file->st_dev || synced[place].file != file->st_ino))
        place++;
    if (place == synced_files) {
        if (synced_files == sizeof synced / sizeof synced[0])
            abort();
        synced[synced_files++] = (struct synced){file->st_dev, file->st_ino, 0};
    }
    return &synced[place];
}

/* Replaces what was written since the last sync by zeros. */
static void lose(int file, off_t from, off_t to)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    /* The descriptor may append, which pwrite respects. */
    int again = REAL(open)(path, O_WRONLY | O_CLOEXEC);
    for (; again >= 0 && from < to; from++)
        if (REAL(pwrite)(again, "", 1, from) != 1)
            abort();
    if (again >= 0)
        close(again);
}

static int sync_with(int (*real)(int), int file)
{
    struct stat status;
    if (!concerns_file(SYNC, file))
        return real(file);
    if (fstat(file, &status) != 0)
        return -1;
    int failing = fails();
    pthread_mutex_lock(&lock);
    struct synced *known = synced_length(&status);
    if (failing && plan.lost)
        lose(file, known->length, status.st_size);
    known->length = status.st_size;
    pthread_mutex_unlock(&lock);
    if (!failing)
        return real(file);
    errno = plan.number;
    return -1;
}

int fsync(int file)
{
    return sync_with(REAL(fsync), file);
}

int fdatasync(int file)
{
    return sync_with(REAL(fdatasync), file);
}

ssize_t read(int file, void *bytes, size_t length)
{
    return file_fails(READ, file) ? -1 : REAL(read)(file, bytes, length);
}

ssize_t pread(int file, void *bytes, size_t length, off_t offset)
{
    return file_fails(READ, file) ? -1 : REAL(pread)(file, bytes, length, offset);
}

ssize_t pread64(int file, void *bytes, size_t length, off64_t offset)
{
    return file_fails(READ, file) ? -1 : REAL(pread64)(file, bytes, length, offset);
}

/* The caller takes a short count without the end of the file for an error. */
#undef fread_unlocked
size_t fread_unlocked(void *bytes, size_t size, size_t count, FILE *file)
{
    return file_fails(READ, fileno(file)) ? 0 : REAL(fread_unlocked)(bytes, size, count, file);
}

#define OPEN_WITH(name)                                            \
    int name(const char *path, int flags, ...)                     \
    {                                                              \
        va_list rest;                                              \
        va_start(rest, flags);                                     \
        mode_t mode = va_arg(rest, mode_t);                        \
        va_end(rest);                                              \
        return path_fails(OPEN, path) ? -1 : REAL(name)(path, flags, mode); \
    }
OPEN_WITH(open)
OPEN_WITH(open64)

int rename(const char *from, const char *to)
{
    return path_fails(RENAME, from) || path_fails(RENAME, to) ? -1 : REAL(rename)(from, to);
}

int unlink(const char *path)
{
    return path_fails(UNLINK, path) ? -1 : REAL(unlink)(path);
}
