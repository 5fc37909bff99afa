// Loaded before the C library, this answers for one name: with the address that stands in a file at the time, and,
// when the file is empty, that there is no such name. All other names are the C library's.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int resolver(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result) {
    resolver *real = (resolver *)dlsym(RTLD_NEXT, "getaddrinfo");
    const char *path = getenv("MOVING_NAME_FILE");
    if (!path || !node || strcmp(node, "moving.test") != 0) {
        return real(node, service, hints, result);
    }
    char address[64] = "";
    FILE *file = fopen(path, "r");
    if (!file || !fgets(address, sizeof address, file)) {
        address[0] = '\0';
    }
    if (file) {
        fclose(file);
    }
    return address[0] ? real(address, service, hints, result) : EAI_NONAME;
}
