//! The steps of learning: AdaGrad for vectors, FTRL-Proximal for single weights.
//!
//! All instruction sets give the same bits, as in [`crate::factors`].

dispatched! {
    /// Takes one step of AdaGrad on a vector: `g = scale * direction + l2 * weight`,
    /// `squares += g^2`, `weight -= rate * g / sqrt(squares)`, the root within 5e-6.
    ///
    /// # Shapes
    /// `weights`, `squares` (positive) and `direction` have one length (the shortest counts).
    /// # Source
    /// Duchi, Hazan, Singer, "Adaptive Subgradient Methods", JMLR 2011.
    fn adagrad(weights: &mut [f32], squares: &mut [f32], direction: &[f32], scale: f32, rate: f32, l2: f32) = adagrad_body
}

#[inline(always)]
fn adagrad_body(weights: &mut [f32], squares: &mut [f32], direction: &[f32], scale: f32, rate: f32, l2: f32) {
    let length = weights.len().min(squares.len()).min(direction.len());
    let (weights, squares) = (&mut weights[..length], &mut squares[..length]);
    for ((weight, square), direction) in weights.iter_mut().zip(squares).zip(&direction[..length]) {
        (*weight, *square) = adagrad_step(*weight, *square, scale * direction, rate, l2);
    }
}

/// Takes one step of AdaGrad on a single weight, as [`adagrad`] does on many. Returns the weight and its sum of squares.
#[inline(always)]
#[must_use]
pub fn adagrad_step(weight: f32, square: f32, gradient: f32, rate: f32, l2: f32) -> (f32, f32) {
    let gradient = gradient + l2 * weight;
    let square = square + gradient * gradient;
    (weight - rate * gradient * inverse_root(square), square)
}

/// Computes `1 / sqrt(x)` of a positive number with a relative error of at most 5e-6. A root and a division would take
/// three times as long, and the estimates of processors differ from one to the next.
///
/// # Source
/// Lomont, "Fast Inverse Square Root", 2003; two of Newton's steps.
#[inline(always)]
fn inverse_root(x: f32) -> f32 {
    // A sum that has overflowed still makes the smallest steps.
    let x = x.min(f32::MAX);
    let half = 0.5 * x;
    let mut root = f32::from_bits(0x5f37_5a86_u32.wrapping_sub(x.to_bits() >> 1));
    root *= 1.5 - half * root * root;
    root * (1.5 - half * root * root)
}

/// The state of one coordinate of FTRL-Proximal.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[repr(C)]
pub struct Ftrl {
    /// The weight, which follows from the other two and the constants.
    pub weight: f32,
    /// The sum of gradients less the proximal terms (`z` in the paper).
    pub z: f32,
    /// The root of the sum of squared gradients (`sqrt(n)` in the paper).
    pub root: f32,
}

/// The constants of FTRL-Proximal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FtrlConstants {
    /// The inverse of the learning rate (`1 / alpha` in the paper): a product takes a fifth of a quotient's time.
    pub inverse_rate: f32,
    /// Shortens the first steps (`beta` in the paper).
    pub beta: f32,
    /// The L1 penalty: it keeps small weights at exactly zero.
    pub l1: f32,
    /// The L2 penalty: it pulls weights to zero.
    pub l2: f32,
}

impl Ftrl {
    /// Takes one step by the gradient of the coordinate.
    ///
    /// # Source
    /// McMahan et al., "Ad Click Prediction: a View from the Trenches", KDD 2013, algorithm 1.
    #[inline(always)]
    pub fn step(&mut self, gradient: f32, constants: &FtrlConstants) {
        let root = (self.root * self.root + gradient * gradient).sqrt();
        let sigma = (root - self.root) * constants.inverse_rate;
        self.z += gradient - sigma * self.weight;
        self.root = root;
        let excess = self.z.abs() - constants.l1;
        self.weight = if excess <= 0.0 {
            0.0
        } else {
            let curvature = (constants.beta + root) * constants.inverse_rate + constants.l2;
            -excess.copysign(self.z) / curvature
        };
    }
}

/// Adds the weight of each row's slot: `out[row] += states[slots[row] - first].weight`.
///
/// # Panics
/// If a slot lies outside `first..first + states.len()`.
pub fn ftrl_gather(states: &[Ftrl], first: u32, slots: &[u32], out: &mut [f32]) {
    for (&slot, out) in slots.iter().zip(out) {
        *out += states[(slot - first) as usize].weight;
    }
}

/// Steps the state of each row's slot by that row's gradient, in row order.
///
/// # Panics
/// If a slot lies outside `first..first + states.len()`.
pub fn ftrl_scatter(states: &mut [Ftrl], first: u32, slots: &[u32], gradients: &[f32], constants: &FtrlConstants) {
    for (&slot, &gradient) in slots.iter().zip(gradients) {
        states[(slot - first) as usize].step(gradient, constants);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::numbers;

    #[test]
    fn an_inverse_root_is_near_for_all_magnitudes() {
        let mut x = f32::MIN_POSITIVE;
        while x < f32::MAX {
            let exact = 1.0 / f64::from(x).sqrt();
            assert!((f64::from(inverse_root(x)) / exact - 1.0).abs() < 5e-6, "{x}");
            x *= 1.0123;
        }
        assert!(inverse_root(f32::INFINITY) > 0.0 && inverse_root(f32::INFINITY) < 1e-18);
    }

    #[test]
    fn every_instruction_set_gives_the_scalar_bits() {
        for length in [0, 1, 3, 15, 16, 17, 33, 156, 1000] {
            let direction = numbers(2, length);
            let mut one = (numbers(1, length), vec![0.5; length]);
            let mut two = one.clone();
            adagrad(&mut one.0, &mut one.1, &direction, 0.3, 0.1, 1e-3);
            adagrad_body(&mut two.0, &mut two.1, &direction, 0.3, 0.1, 1e-3);
            assert_eq!(one, two);
        }
    }

    #[test]
    fn ftrl_keeps_small_weights_at_zero_and_follows_the_paper() {
        let constants = FtrlConstants { inverse_rate: 10.0, beta: 1.0, l1: 0.5, l2: 2.0 };
        let mut states = vec![Ftrl::default(); 2];
        ftrl_scatter(&mut states, 10, &[10, 11, 11], &[0.4, -1.0, -2.0], &constants);
        assert_eq!(states[0].weight, 0.0);
        // By hand: n = 1, then 5; the first weight is 0.5 / (2 / 0.1 + 2).
        let first = 0.5 / 22.0;
        let sigma = (5f32.sqrt() - 1.0) / 0.1;
        let z = -3.0 - sigma * first;
        let weight = (-z - 0.5) / ((1.0 + 5f32.sqrt()) / 0.1 + 2.0);
        assert!((states[1].weight - weight).abs() < 1e-6);
        let mut out = [1.0, 1.0];
        ftrl_gather(&states, 10, &[11, 10], &mut out);
        assert_eq!(out, [1.0 + states[1].weight, 1.0]);
    }
}
