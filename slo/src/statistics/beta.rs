//! The regularised incomplete beta function: the binomial distribution's tails, exact for any number of samples.

/// Coefficients of the Lanczos approximation with g = 7, relative error below 1e-13 (C. Lanczos 1964; P. Godfrey 2001).
const LANCZOS: [f64; 9] = [
    0.999_999_999_999_809_9,
    676.520_368_121_885_1,
    -1_259.139_216_722_402_8,
    771.323_428_777_653_1,
    -176.615_029_162_140_6,
    12.507_343_278_686_905,
    -0.138_571_095_265_720_12,
    9.984_369_578_019_572e-6,
    1.505_632_735_149_311_6e-7,
];

/// Natural logarithm of the gamma function, for `x` of at least 0.5.
fn ln_gamma(x: f64) -> f64 {
    let x = x - 1.0;
    let t = x + 7.5;
    let sum = LANCZOS[1..]
        .iter()
        .zip(1_u8..)
        .fold(LANCZOS[0], |sum, (c, i)| sum + c / (x + f64::from(i)));
    0.5 * (2.0 * std::f64::consts::PI).ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

/// Steps of the continued fraction: it takes about the root of the larger argument.
const STEPS_MAX: u32 = 200_000;

/// I_x(a, b), by Lentz's method on the continued fraction. `a` and `b` are at least 0.5, `x` lies in 0..=1.
pub(super) fn regularised_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    // The fraction converges quickly on this side of the mean only.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - regularised_beta(b, a, 1.0 - x);
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p()).exp() / a;
    (front * fraction(a, b, x)).clamp(0.0, 1.0)
}

fn fraction(a: f64, b: f64, x: f64) -> f64 {
    let not_zero = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / not_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut value = d;
    for step in 1..STEPS_MAX {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        for term in [even, odd] {
            d = 1.0 / not_zero(1.0 + term * d);
            c = not_zero(1.0 + term / c);
            value *= c * d;
        }
        if (c * d - 1.0).abs() < 1e-14 {
            break;
        }
    }
    value
}

/// The `x` for which I_x(a, b) is `probability`.
pub(super) fn beta_quantile(a: f64, b: f64, probability: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if regularised_beta(a, b, middle) < probability {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_values() {
        let near = |is: f64, should: f64| assert!((is - should).abs() < 1e-10, "{is} is not {should}");
        near(ln_gamma(5.0), 24.0_f64.ln());
        near(ln_gamma(0.5), std::f64::consts::PI.sqrt().ln());
        near(regularised_beta(1.0, 1.0, 0.3), 0.3);
        near(regularised_beta(2.0, 1.0, 0.3), 0.09);
        near(regularised_beta(1.0, 3.0, 0.3), 1.0 - 0.7_f64.powi(3));
        near(beta_quantile(1.0, 299.0, 0.95), 1.0 - 0.05_f64.powf(1.0 / 299.0));
    }

    proptest! {
        /// Against the sum that it stands for: P(X >= k) of n trials.
        #[test]
        fn it_is_the_binomial_tail(n in 1_u32..60, k in 1_u32..60, p in 0.01_f64..0.99) {
            prop_assume!(k <= n);
            let mut term = (1.0 - p).powi(n as i32);
            let mut below = 0.0;
            for i in 0..k {
                below += term;
                term *= f64::from(n - i) / f64::from(i + 1) * p / (1.0 - p);
            }
            let tail = regularised_beta(f64::from(k), f64::from(n - k + 1), p);
            prop_assert!((tail - (1.0 - below)).abs() < 1e-8, "{tail} is not {}", 1.0 - below);
        }
    }
}
