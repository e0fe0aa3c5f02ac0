/* Quadrature rules on [0, 1] for path integrals (methods.md 5.1); weights sum to 1. */
#ifndef EXPLAIN_QUADRATURE_H
#define EXPLAIN_QUADRATURE_H

#include <stddef.h>

typedef enum quadrature { QUADRATURE_GL, QUADRATURE_MID, QUADRATURE_LEFT, QUADRATURE_RIGHT, QUADRATURE_TRAP } quadrature;

/* Nodes, ascending, and weights of the rule with m points; trap with one point is the midpoint.
 *   gl     Gauss-Legendre: Newton on P_m from cos(pi (k - 1/4) / (m + 1/2)), exact for polynomials to degree 2m - 1
 *   mid, left, right   m equal steps
 *   trap   m nodes at distance 1/(m - 1), the ends halved */
void quadrature_rule(quadrature rule, size_t m, double *node, double *weight);

#endif
