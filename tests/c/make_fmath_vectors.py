"""Write fmath_vectors.h: arguments and true values, as a sum of two doubles, for check_fmath.c.

Run with mpmath installed: ``python tests/c/make_fmath_vectors.py > tests/c/fmath_vectors.h``. Seeded, so that the
file comes out the same each time.
"""

import math
import random
from collections.abc import Callable

import mpmath
from mpmath import mpf

mpmath.mp.prec = 300
N_RANDOM = 60

Point = tuple[float, float]
rng = random.Random(20)


def log_uniform(low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def either_sign(x: float) -> float:
    return rng.choice((-x, x))


def near_multiple_of_half_pi() -> float:
    return float(mpmath.pi / 2 * rng.randrange(1, 683_000_000))


def exp_point() -> Point:
    wide = rng.uniform(-744, 709)
    return rng.choice((wide, rng.uniform(-30, 0), either_sign(log_uniform(1e-17, 1)))), 0.0


def log_point() -> Point:
    near_one = 1 + either_sign(log_uniform(1e-15, 0.5))
    return rng.choice((log_uniform(5e-324, 1e308), rng.uniform(0.5, 2), near_one)), 0.0


def angle_point() -> Point:
    wide = rng.uniform(-(2**30), 2**30)
    return rng.choice((wide, rng.uniform(-7, 7), near_multiple_of_half_pi(), log_uniform(1e-9, 1e9))), 0.0


def pow_point() -> Point:
    if rng.random() < 0.4:
        return rng.choice((10000.0, 500000.0, 1000000.0, 1.75)), rng.uniform(-1, 1)
    x = rng.choice((log_uniform(1e-300, 1e300), rng.uniform(0.5, 2), 1 + either_sign(log_uniform(1e-14, 0.1))))
    return x, rng.uniform(-744, 709) / math.log(x)


def tanh_point() -> Point:
    return rng.choice((rng.uniform(-20, 20), rng.uniform(-1, 1), either_sign(log_uniform(1e-17, 1)))), 0.0


def sqrt_point() -> Point:
    return rng.choice((log_uniform(5e-324, 1e308), rng.uniform(0, 4))), 0.0


def pow_edges() -> list[Point]:
    return [(2.0, 0.5), (2.0, -1074.0), (10.0, 308.0), (10000.0, -62 / 64), (5e-324, 0.5), (1.0000000000000002, 1e18)]


FUNCTIONS: dict[str, tuple[Callable[..., mpf], Callable[[], Point], list[Point]]] = {
    "exp": (mpmath.exp, exp_point, [(x, 0.0) for x in (1.0, -1.0, 709.78, -708.5, -744.4, -745.13, 1e-300, 0.5)]),
    "log": (mpmath.log, log_point, [(x, 0.0) for x in (2.0, 10.0, 5e-324, 2.2e-308, 1.7e308, 1 - 2**-53, 1 + 2**-52)]),
    "sin": (mpmath.sin, angle_point, [(x, 0.0) for x in (1e-300, 0.7853981633974483, 3.141592653589793, 1073741823.0)]),
    "cos": (mpmath.cos, angle_point, [(x, 0.0) for x in (0.0, 0.7853981633974483, 1.5707963267948966, 1073741823.0)]),
    "pow": (mpmath.power, pow_point, pow_edges()),
    "tanh": (mpmath.tanh, tanh_point, [(x, 0.0) for x in (1e-300, 0.625, 0.6250000000000001, 18.9, -22.5)]),
    "sqrt": (mpmath.sqrt, sqrt_point, [(x, 0.0) for x in (2.0, 3.0, 4.0, 5e-324, 1.7976931348623157e308, 1 - 2**-53)]),
}


def row(function: Callable[..., mpf], point: Point, *, two: bool) -> str:
    true = function(*(mpf(v) for v in point[: 1 + two]))
    high = float(true)
    return "    {" + ", ".join(v.hex() for v in (*point, high, float(true - mpf(high)))) + "},"


def main() -> None:
    print("// Made by make_fmath_vectors.py with 300-bit arithmetic: arguments, and the true value as hi + lo.")
    print("#pragma once\n")
    print("typedef struct fmath_vector { double x, y, hi, lo; } fmath_vector;")
    for name, (function, make, edges) in FUNCTIONS.items():
        print(f"\nstatic const fmath_vector {name}_vectors[] = {{")
        for point in edges + [make() for _ in range(N_RANDOM)]:
            print(row(function, point, two=name == "pow"))
        print("};")


if __name__ == "__main__":
    main()
