/* Stands between a process and its disk: counts every durable operation below one directory, and at the n-th kills the
   process, fails, or writes only a part; or writes down all of them. Loaded by LD_PRELOAD; see disk.py. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CREATE, WRITE, TRUNCATE, SYNC, RENAME, UNLINK, MKDIR, RMDIR, LINK, MARK };
enum { OFF, COUNT, KILL, TORN, FAIL, SHORT };

static char root[PATH_MAX];
static size_t root_size;
static int mode = OFF, error_number, record_fd = -1;
static long first, last, count;
static unsigned kinds;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

#define REAL(result, name, ...)                                            \
  static result (*real)(__VA_ARGS__);                                      \
  if (!real) real = (result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

void disk_arm(const char *place, int what, long from, long to, int error, unsigned which, int record) {
  snprintf(root, sizeof root, "%s", place);
  root_size = strlen(root);
  first = from, last = to, error_number = error, kinds = which, record_fd = record, count = 0, mode = what;
}

void disk_off(void) { mode = OFF; }

long disk_count(void) { return count; }

static int all(int fd, const void *data, size_t size) {
  static ssize_t (*real)(int, const void *, size_t);
  if (!real) real = (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
  for (const char *at = data; size;) {
    ssize_t done = real(fd, at, size);
    if (done <= 0) return -1;
    at += done, size -= (size_t)done;
  }
  return 0;
}

static void put(int op, uint64_t inode, int64_t offset, const char *a, const char *b, const void *data, size_t size) {
  if (record_fd < 0) return;
  struct { uint32_t op, a, b, size; uint64_t inode; int64_t offset; } head = {
      (uint32_t)op, (uint32_t)strlen(a), (uint32_t)strlen(b), (uint32_t)size, inode, offset};
  all(record_fd, &head, sizeof head);
  all(record_fd, a, head.a);
  all(record_fd, b, head.b);
  if (data) all(record_fd, data, size);
}

void disk_mark(long number) {
  pthread_mutex_lock(&turn);
  put(MARK, 0, number, "", "", NULL, 0);
  pthread_mutex_unlock(&turn);
}

static int place_of(int fd, char *path) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t size = readlink(link, path, PATH_MAX - 1);
  if (size < 0) return -1;
  path[size] = 0;
  return 0;
}

static int full(int fd, const char *name, char *path) {
  if (name[0] == '/') return snprintf(path, PATH_MAX, "%s", name);
  char above[PATH_MAX];
  if (fd == AT_FDCWD ? !getcwd(above, sizeof above) : place_of(fd, above)) return -1;
  return snprintf(path, PATH_MAX, "%.2000s/%.2000s", above, name);
}

static int ours(const char *path) {
  size_t size = strlen(path);
  return !strncmp(path, root, root_size) && (path[root_size] == '/' || !path[root_size]) &&
         !(size > 4 && !strcmp(path + size - 4, "-shm"));
}

static void end(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

/* What is to happen to the next operation: 0 as usual, 1 it fails, 2 a part of it. Never returns where all ends here. */
static int next(int op) {
  count++;
  if (count < first || count > last || !(kinds & (1u << op))) return 0;
  if (mode == KILL || (mode == TORN && op != WRITE)) end();
  if (mode == FAIL) {
    errno = error_number;
    return 1;
  }
  return mode == TORN || (mode == SHORT && op == WRITE) ? 2 : 0;
}

static uint64_t inode_of(int fd) {
  struct stat info;
  return fstat(fd, &info) ? 0 : info.st_ino;
}

static ssize_t write_to(int fd, const void *data, size_t size, off_t offset, int positioned) {
  REAL(ssize_t, pwrite, int, const void *, size_t, off_t);
  static ssize_t (*plain)(int, const void *, size_t);
  if (!plain) plain = (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
  char path[PATH_MAX];
  if (mode == OFF || !size || fd == record_fd || place_of(fd, path) || !ours(path))
    return positioned ? real(fd, data, size, offset) : plain(fd, data, size);
  pthread_mutex_lock(&turn);
  int what = next(WRITE);
  ssize_t done = -1;
  if (what != 1) {
    if (what == 2 && size > 1) size /= 2;
    if (!positioned) {
      struct stat info;
      offset = fcntl(fd, F_GETFL) & O_APPEND && !fstat(fd, &info) ? info.st_size : lseek(fd, 0, SEEK_CUR);
    }
    done = positioned ? real(fd, data, size, offset) : plain(fd, data, size);
    if (what == 2 && mode == TORN) end();
    if (done > 0) put(WRITE, inode_of(fd), offset, "", "", data, (size_t)done);
  }
  pthread_mutex_unlock(&turn);
  return done;
}

ssize_t write(int fd, const void *data, size_t size) { return write_to(fd, data, size, 0, 0); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return write_to(fd, data, size, at, 1); }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) { return write_to(fd, data, size, at, 1); }

#define ON_FD(name, op, offset, call)                                                   \
  char path[PATH_MAX];                                                                  \
  if (mode == OFF || place_of(fd, path) || !ours(path)) return call;                    \
  pthread_mutex_lock(&turn);                                                            \
  int done = next(op) ? -1 : call;                                                      \
  if (!done) put(op, inode_of(fd), offset, path, "", NULL, 0);                          \
  pthread_mutex_unlock(&turn);                                                          \
  return done

int fsync(int fd) {
  REAL(int, fsync, int);
  ON_FD(fsync, SYNC, 0, real(fd));
}
int fdatasync(int fd) {
  REAL(int, fdatasync, int);
  ON_FD(fdatasync, SYNC, 0, real(fd));
}
int ftruncate(int fd, off_t size) {
  REAL(int, ftruncate, int, off_t);
  ON_FD(ftruncate, TRUNCATE, size, real(fd, size));
}
int ftruncate64(int fd, off64_t size) { return ftruncate(fd, size); }

static int open_at(int fd, const char *name, int flags, mode_t access) {
  REAL(int, openat, int, const char *, int, ...);
  char path[PATH_MAX];
  struct stat info;
  if (mode == OFF || !(flags & (O_CREAT | O_TRUNC)) || full(fd, name, path) < 0 || !ours(path))
    return real(fd, name, flags, access);
  int there = !fstatat(fd, name, &info, 0);
  int op = !there && flags & O_CREAT ? CREATE : there && flags & O_TRUNC && info.st_size ? TRUNCATE : -1;
  if (op < 0) return real(fd, name, flags, access);
  pthread_mutex_lock(&turn);
  int opened = next(op) ? -1 : real(fd, name, flags, access);
  if (opened >= 0) put(op, inode_of(opened), 0, path, "", NULL, 0);
  pthread_mutex_unlock(&turn);
  return opened;
}

#define OPENS(name, ...)                                  \
  va_list rest;                                           \
  va_start(rest, flags);                                  \
  mode_t access = flags & O_CREAT ? va_arg(rest, mode_t) : 0; \
  va_end(rest);                                           \
  return open_at(__VA_ARGS__, name, flags, access)

int open(const char *name, int flags, ...) { OPENS(name, AT_FDCWD); }
int open64(const char *name, int flags, ...) { OPENS(name, AT_FDCWD); }
int openat(int fd, const char *name, int flags, ...) { OPENS(name, fd); }
int openat64(int fd, const char *name, int flags, ...) { OPENS(name, fd); }

#define ON_NAME(op, fd, name, call)                                                \
  char path[PATH_MAX];                                                             \
  if (mode == OFF || full(fd, name, path) < 0 || !ours(path)) return call;         \
  pthread_mutex_lock(&turn);                                                       \
  struct stat info = {0};                                                          \
  int done = next(op) ? -1 : call;                                                 \
  if (!done && op == MKDIR) fstatat(fd, name, &info, 0);                           \
  if (!done) put(op, info.st_ino, 0, path, "", NULL, 0);                           \
  pthread_mutex_unlock(&turn);                                                     \
  return done

int unlinkat(int fd, const char *name, int flags) {
  REAL(int, unlinkat, int, const char *, int);
  int op = flags & AT_REMOVEDIR ? RMDIR : UNLINK;
  ON_NAME(op, fd, name, real(fd, name, flags));
}
int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }
int rmdir(const char *name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }
int mkdirat(int fd, const char *name, mode_t access) {
  REAL(int, mkdirat, int, const char *, mode_t);
  ON_NAME(MKDIR, fd, name, real(fd, name, access));
}
int mkdir(const char *name, mode_t access) { return mkdirat(AT_FDCWD, name, access); }

#define ON_TWO(op, a, old, b, new, call)                                                        \
  char path[PATH_MAX], target[PATH_MAX];                                                        \
  if (mode == OFF || full(a, old, path) < 0 || full(b, new, target) < 0 || !(ours(path) || ours(target))) return call; \
  pthread_mutex_lock(&turn);                                                                    \
  int done = next(op) ? -1 : call;                                                              \
  if (!done) put(op, 0, 0, path, target, NULL, 0);                                              \
  pthread_mutex_unlock(&turn);                                                                  \
  return done

int renameat2(int a, const char *old, int b, const char *new, unsigned flags) {
  REAL(int, renameat2, int, const char *, int, const char *, unsigned);
  ON_TWO(RENAME, a, old, b, new, real(a, old, b, new, flags));
}
int renameat(int a, const char *old, int b, const char *new) { return renameat2(a, old, b, new, 0); }
int rename(const char *old, const char *new) { return renameat2(AT_FDCWD, old, AT_FDCWD, new, 0); }
int linkat(int a, const char *old, int b, const char *new, int flags) {
  REAL(int, linkat, int, const char *, int, const char *, int);
  ON_TWO(LINK, a, old, b, new, real(a, old, b, new, flags));
}
int link(const char *old, const char *new) { return linkat(AT_FDCWD, old, AT_FDCWD, new, 0); }
