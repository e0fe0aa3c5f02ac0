/* Nodes and weights in double; Gauss-Legendre made symmetric so that swapping the ends of a path negates the integral exactly. */
#include "explain/quadrature.h"

#include <math.h>

/* P_m(t) and its derivative by the three-term recurrence. */
static double legendre(size_t m, double t, double *derivative)
{
    double before = 1, now = t;
    for (size_t k = 2; k <= m; k++) {
        double next = ((double)(2 * k - 1) * t * now - (double)(k - 1) * before) / (double)k;
        before = now;
        now = next;
    }
    *derivative = (double)m * (t * now - before) / (t * t - 1);
    return now;
}

static void gauss_legendre(size_t m, double *node, double *weight)
{
    if (m == 1) {
        node[0] = 0.5;
        weight[0] = 1;
        return;
    }
    for (size_t k = 0; k < (m + 1) / 2; k++) {
        double t = cos(3.14159265358979323846 * ((double)k + 0.75) / ((double)m + 0.5)), slope = 1;
        for (int step = 0; step < 10; step++) {
            double move = legendre(m, t, &slope) / slope;
            t -= move;
            if (fabs(move) < 1e-16)
                break;
        }
        legendre(m, t, &slope);
        if (2 * k + 1 == m)
            t = 0;
        weight[k] = weight[m - 1 - k] = 1 / ((1 - t * t) * slope * slope);
        node[k] = (1 - t) / 2;
        node[m - 1 - k] = (1 + t) / 2;
    }
}

void quadrature_rule(quadrature rule, size_t m, double *node, double *weight)
{
    double step = 1 / (double)m;
    if (rule == QUADRATURE_GL) {
        gauss_legendre(m, node, weight);
        return;
    }
    for (size_t k = 0; k < m; k++) {
        double shift = rule == QUADRATURE_LEFT ? 0 : rule == QUADRATURE_RIGHT ? 1 : 0.5;
        node[k] = ((double)k + shift) * step;
        weight[k] = step;
        if (rule == QUADRATURE_TRAP && m > 1) {
            node[k] = (double)k / (double)(m - 1);
            weight[k] = (k == 0 || k == m - 1 ? 0.5 : 1) / (double)(m - 1);
        }
    }
}
