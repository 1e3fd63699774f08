/* rms_norm and its derivatives, as a program that softproof can ask.
 *
 *     cc -O2 -std=c99 rms_norm.c -lm -o rms_norm
 *     softproof verify rms_norm --subject ./rms_norm --contract summation=any
 *
 * It speaks version 2 of the protocol of softproof (in the docstring of
 * softproof.verify.subjects.isolation.program_protocol_2), with numbers in hex.  All is computed in
 * double; float results are rounded once, at the end.  Sums are plain loops, which the contract
 * says.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The reciprocal root mean square of a row. */
static double reciprocal_rms(const double *x, long n, double eps)
{
    double sum = 0;
    for (long k = 0; k < n; k++) sum += x[k] * x[k];
    return 1 / sqrt(sum / n + eps);
}

static void rms_norm(const double *x, const double *gain, long n, double eps, double *y)
{
    double r = reciprocal_rms(x, n, eps);
    for (long k = 0; k < n; k++) y[k] = x[k] * r * gain[k];
}

/* With g the cotangent and h = x r:  r (g gain - h mean(g gain h)) in x, g h in gain. */
static void products(const double *x, const double *gain, const double *g, long n, double eps,
                     double *in_x, double *in_gain)
{
    double r = reciprocal_rms(x, n, eps), dot = 0;
    for (long k = 0; k < n; k++) dot += g[k] * gain[k] * (x[k] * r);
    for (long k = 0; k < n; k++) {
        in_x[k] = r * (g[k] * gain[k] - x[k] * r * (dot / n));
        in_gain[k] += g[k] * (x[k] * r);
    }
}

/* --- the conversation --- */

enum { MOST_ARGUMENTS = 4, LINE = 256 };

struct argument {
    char name[32];
    long last; /* its last size */
    double *numbers;
};

static double *room(long count)
{
    double *numbers = calloc(count + 1, sizeof *numbers);
    if (numbers == NULL) exit(EXIT_FAILURE);
    return numbers;
}

/* An argument, from its header: the name, the type, the sizes; then its numbers. */
static struct argument read_argument(const char *header)
{
    struct argument it = {"", 1, NULL};
    int read = 0;
    long size, count = 1;
    if (sscanf(header, "argument %31s %*s%n", it.name, &read) != 1) exit(EXIT_FAILURE);
    for (header += read; sscanf(header, "%ld%n", &size, &read) == 1; header += read)
        count *= size, it.last = size;
    it.numbers = room(count);
    for (long i = 0; i < count; i++)
        if (scanf("%lf", &it.numbers[i]) != 1) exit(EXIT_FAILURE);
    return it;
}

static void print_numbers(const double *x, long count, int is_float)
{
    for (long i = 0; i < count; i++) printf("%a\n", is_float ? (float)x[i] : x[i]);
}

static int same(const char *a, const char *b) { return strcmp(a, b) == 0; }

/* Compute, and print the results; x, gain and cotangent come in the order of the definition. */
static void print_results(const struct argument *given, long cases, double eps, int is_vjp,
                          const char *dtype)
{
    const double *x = given[0].numbers, *gain = given[1].numbers, *g = given[2].numbers;
    long n = given[0].last;
    double *y = room(cases * n), *in_gain = room(n);
    for (long i = 0; i < cases * n; i += n) {
        if (is_vjp) products(x + i, gain, g + i, n, eps, y + i, in_gain);
        else rms_norm(x + i, gain, n, eps, y + i);
    }
    printf("result %s %s %ld %ld\n", is_vjp ? "x" : "value", dtype, cases, n);
    print_numbers(y, cases * n, same(dtype, "float32"));
    if (is_vjp) printf("result gain %s %ld\n", dtype, n);
    if (is_vjp) print_numbers(in_gain, n, same(dtype, "float32"));
    puts("end");
    free(y), free(in_gain);
}

/* Read the rest of a call, and reply. */
static void answer(int is_vjp, const char *definition, const char *dtype, long cases)
{
    struct argument given[MOST_ARGUMENTS] = {{"", 1, NULL}};
    char line[LINE] = "", parameter[32], unknown[32] = "";
    int count = 0;
    double eps = 1e-6; /* the default of the definition */
    while (fgets(line, sizeof line, stdin) && !same(line, "end\n")) {
        double number;
        if (sscanf(line, "parameter %31s %lf", parameter, &number) == 2) {
            if (same(parameter, "eps")) eps = number;
            else strcpy(unknown, parameter);
        } else if (strncmp(line, "argument ", 9) == 0) {
            struct argument it = read_argument(line);
            if (count < MOST_ARGUMENTS) given[count++] = it;
            else free(it.numbers);
        }
    }
    if (!same(definition, "rms_norm")) printf("unsupported %s\n", definition);
    else if (!same(dtype, "float32") && !same(dtype, "float64")) printf("unsupported %s\n", dtype);
    else if (unknown[0]) printf("unsupported parameter %s\n", unknown);
    else if (count != 2 + is_vjp) printf("error %d arguments came\n", count);
    else print_results(given, cases, eps, is_vjp, dtype);
    fflush(stdout);
    for (int i = 0; i < count; i++) free(given[i].numbers);
}

int main(void)
{
    char line[LINE], kind[8], definition[64], dtype[16];
    long cases;
    puts("softproof 2 hex");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "%7s %63s %15s %ld", kind, definition, dtype, &cases) == 4)
            answer(same(kind, "vjp"), definition, dtype, cases);
    }
    return EXIT_SUCCESS;
}
