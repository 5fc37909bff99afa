// Prints every connection setting that libpq knows, and its variable, if it has one.
#include <stdio.h>

typedef struct {
    char *keyword;
    char *variable;
    char *compiled;
    char *value;
    char *label;
    char *display;
    int size;
} PQconninfoOption;

PQconninfoOption *PQconndefaults(void);

int main(void) {
    for (PQconninfoOption *option = PQconndefaults(); option && option->keyword; option++) {
        printf("%s %s\n", option->keyword, option->variable ? option->variable : "");
    }
    return 0;
}
