/* softmax, log_softmax, logsumexp and cross_entropy, as a program that softproof can ask.
 *
 *     cc -O2 -std=c99 softmax.c -lm -o softmax
 *     softproof verify softmax --subject ./softmax --contract summation=any
 *
 * It speaks version 1 of the protocol of softproof (in the docstring of
 * softproof.verify.subjects.isolation.program_protocol_1), with numbers in hex.  All is computed in
 * double; float results are rounded once, at the end.  Sums are plain loops, which the contract
 * says.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Index of the largest number, or of the first NaN. */
static long leader(const double *z, long n)
{
    long lead = 0;
    for (long k = 1; k < n && !isnan(z[lead]); k++)
        if (z[k] > z[lead] || isnan(z[k])) lead = k;
    return lead;
}

/* Sum of exp(z_k - z_lead) over the others.  z_lead - z_lead is 0, or NaN where it is not finite. */
static double others(const double *z, long n, long lead)
{
    double sum = z[lead] - z[lead];
    for (long k = 0; k < n; k++)
        if (k != lead) sum += exp(z[k] - z[lead]);
    return sum;
}

static void softmax(const double *z, long n, double *p)
{
    long lead = leader(z, n);
    double total = 1 + others(z, n, lead);
    for (long k = 0; k < n; k++) p[k] = exp(z[k] - z[lead]) / total;
}

/* log1p, since log(1 + tail) is 0 for a small tail. */
static void log_softmax(const double *z, long n, double *y)
{
    long lead = leader(z, n);
    double log_tail = log1p(others(z, n, lead));
    for (long k = 0; k < n; k++) y[k] = z[k] - z[lead] - log_tail;
}

static double logsumexp(const double *z, long n)
{
    if (n == 0) return -INFINITY;
    long lead = leader(z, n);
    return isinf(z[lead]) ? z[lead] : z[lead] + log1p(others(z, n, lead));
}

/* The gradient is p - onehot; at the label 1 - p would cancel, so the other probabilities are
 * summed. */
static double cross_entropy(const double *z, long n, long label, double *gradient)
{
    long lead = leader(z, n);
    double tail = others(z, n, lead), rest = 0;
    softmax(z, n, gradient);
    for (long k = 0; k < n; k++)
        if (k != label) rest += gradient[k];
    gradient[label] = -rest;
    return log1p(tail) + (z[lead] - z[label]);
}

static double *room(long count)
{
    double *numbers = calloc(count + 1, sizeof *numbers);
    if (numbers == NULL) exit(EXIT_FAILURE);
    return numbers;
}

static void read_numbers(double *x, long count)
{
    for (long i = 0; i < count; i++)
        if (scanf("%lf", &x[i]) != 1) exit(EXIT_FAILURE);
}

static void print_numbers(const double *x, long count, int is_float)
{
    for (long i = 0; i < count; i++) printf("%a\n", is_float ? (float)x[i] : x[i]);
}

static int same(const char *a, const char *b) { return strcmp(a, b) == 0; }

/* Read the rest of a call, and reply. */
static void answer(const char *name, const char *dtype, long rows, long n, long labels)
{
    double *z = room(rows * n), *label = room(labels), *y = room(rows * n), *sum = room(rows);
    int vector = same(name, "softmax") || same(name, "log_softmax");
    int loss = same(name, "cross_entropy"), is_float = same(dtype, "float32");
    read_numbers(z, rows * n);
    read_numbers(label, labels);
    for (long i = 0; i < rows; i++) {
        const double *row = z + i * n;
        if (same(name, "softmax")) softmax(row, n, y + i * n);
        if (same(name, "log_softmax")) log_softmax(row, n, y + i * n);
        if (same(name, "logsumexp")) sum[i] = logsumexp(row, n);
        if (loss) sum[i] = cross_entropy(row, n, (long)label[i], y + i * n);
    }
    if (!(is_float || same(dtype, "float64")) || !(vector || loss || same(name, "logsumexp"))) {
        printf("unsupported %s in %s\n", name, dtype);
    } else if (vector) {
        printf("value %s %ld %ld\n", dtype, rows, n);
        print_numbers(y, rows * n, is_float);
        puts("end");
    } else {
        printf("value %s %ld\n", dtype, rows);
        print_numbers(sum, rows, is_float);
        if (loss) printf("gradient %s %ld %ld\n", dtype, rows, n);
        if (loss) print_numbers(y, rows * n, is_float);
        puts("end");
    }
    fflush(stdout);
    free(z), free(label), free(y), free(sum);
}

int main(void)
{
    char name[32], dtype[16];
    long rows, n, labels;
    puts("softproof 1 hex");
    fflush(stdout);
    while (scanf(" call %31s %15s %ld %ld %ld", name, dtype, &rows, &n, &labels) == 5)
        answer(name, dtype, rows, n, labels);
    return EXIT_SUCCESS;
}
