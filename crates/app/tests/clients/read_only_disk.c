/* Preloaded into a server: while the file exists that READ_ONLY_DISK names, nothing is written or opened for writing
   (EROFS), as on a volume that the system has made read-only because of errors. Sockets, pipes and reads are as ever. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

static int is_read_only(void) {
  const char *path = getenv("READ_ONLY_DISK");
  return path && access(path, F_OK) == 0;
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t offset) {
  static ssize_t (*real)(int, const void *, size_t, off64_t);
  if (is_read_only()) {
    errno = EROFS;
    return -1;
  }
  if (!real) real = (ssize_t (*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
  return real(file, bytes, count, offset);
}

int open64(const char *path, int flags, ...) {
  static int (*real)(const char *, int, ...);
  if ((flags & O_ACCMODE) != O_RDONLY && is_read_only()) {
    errno = EROFS;
    return -1;
  }
  mode_t mode = 0;
  if (flags & (O_CREAT | O_TMPFILE)) {
    va_list rest;
    va_start(rest, flags);
    mode = va_arg(rest, mode_t);
    va_end(rest);
  }
  if (!real) real = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open64");
  return real(path, flags, mode);
}
