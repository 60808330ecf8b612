//! Hot loops of cross scoring: the log-odds of every pair of a tile, and their probabilities.
//!
//! As in [`crate::factors`], loops are plain Rust over fixed lanes and nothing is fused, so that every
//! instruction set gives the same bits.

/// The ads of a panel, which lie side by side: one vector of the widest instruction set.
pub const LANES: usize = 16;
/// The users that share each load of a panel: their sums hide the latency of an addition.
pub const GROUP: usize = 4;

dispatched! {
    /// Computes `out[user, ad] = offset[user] + offset[ad] + <user, ad>` for a tile of pairs.
    ///
    /// # Shapes
    /// `groups`: `[groups, 1 + width, GROUP]`, of which row 0 holds the users' offsets; `panels`: `[panels, 1 +
    /// width, LANES]`, of which row 0 holds the ads' offsets. The tile is of the first `users` and `ads` of these;
    /// its row `user` is `out[user * stride..][..ads]`.
    /// # Panics
    /// If a slice is shorter.
    fn pair_logits(
        groups: &[f32],
        users: usize,
        panels: &[f32],
        ads: usize,
        width: usize,
        out: &mut [f32],
        stride: usize,
    ) = pair_logits_body
}

dispatched! {
    /// Turns log-odds into probabilities, in place: `1 / (1 + exp(-x))`.
    ///
    /// # Units
    /// Within 2e-7 of the exact value; never below 1e-38, and NaN for NaN.
    /// # Source
    /// The polynomial of 2^x is that of Cephes, `exp2f.c` (Moshier, 1992).
    fn logistic(values: &mut [f32]) = logistic_body
}

#[inline(always)]
fn pair_logits_body(
    groups: &[f32],
    users: usize,
    panels: &[f32],
    ads: usize,
    width: usize,
    out: &mut [f32],
    stride: usize,
) {
    let (groups, _) = groups.as_chunks::<GROUP>();
    let (panels, _) = panels.as_chunks::<LANES>();
    for first_user in (0..users).step_by(GROUP) {
        let group = &groups[first_user / GROUP * (1 + width)..][..1 + width];
        for first_ad in (0..ads).step_by(LANES) {
            let panel = &panels[first_ad / LANES * (1 + width)..][..1 + width];
            let sums = products(group, panel);
            let count = LANES.min(ads - first_ad);
            for (user, sum) in (first_user..users).zip(&sums) {
                let row = &mut out[user * stride + first_ad..][..count];
                match <&mut [f32; LANES]>::try_from(&mut *row) {
                    Ok(row) => *row = *sum,
                    Err(_) => row.copy_from_slice(&sum[..count]),
                }
            }
        }
    }
}

/// Multiplies a group by a panel. Nothing here can panic, so the sums stay in registers.
#[inline(always)]
fn products(group: &[[f32; GROUP]], panel: &[[f32; LANES]]) -> [[f32; LANES]; GROUP] {
    let mut steps = group.iter().zip(panel);
    let mut sums = [[0.0; LANES]; GROUP];
    if let Some((users, ads)) = steps.next() {
        for user in 0..GROUP {
            sums[user] = std::array::from_fn(|lane| users[user] + ads[lane]);
        }
    }
    for (users, ads) in steps {
        for user in 0..GROUP {
            let sum = sums[user];
            sums[user] = std::array::from_fn(|lane| sum[lane] + users[user] * ads[lane]);
        }
    }
    sums
}

#[inline(always)]
fn logistic_body(values: &mut [f32]) {
    let (chunks, rest) = values.as_chunks_mut::<LANES>();
    for chunk in chunks {
        for value in chunk {
            *value = logistic_of(*value);
        }
    }
    for value in rest {
        *value = logistic_of(*value);
    }
}

/// Computes `1 / (1 + exp(-x))`, with `exp(-x)` as `2^whole * 2^part` where `part` is within 0.5 of zero.
#[inline(always)]
fn logistic_of(log_odds: f32) -> f32 {
    /// Adding 1.5 * 2^23 rounds to a whole number, whose bits are then the sum's last ones.
    const ROUND: f32 = 12_582_912.0;
    // Below and above, 2^x has no normal f32.
    let power = (log_odds * -std::f32::consts::LOG2_E).clamp(-126.0, 126.0);
    let rounded = power + ROUND;
    let part = power - (rounded - ROUND);
    let mut sum = 1.535_336_2e-4_f32;
    for factor in [1.339_887_5e-3, 9.618_437e-3, 5.550_332_6e-2, 0.240_226_48, std::f32::consts::LN_2, 1.0] {
        sum = sum * part + factor;
    }
    // The whole part is added to the exponent.
    let power_of_two = f32::from_bits(sum.to_bits().wrapping_add(rounded.to_bits() << 23));
    1.0 / (1.0 + power_of_two)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers in -1..1 that look random, by a linear congruential generator.
    fn numbers(seed: u32, count: usize) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    /// Calls a kernel's body compiled for each instruction set that this machine has.
    macro_rules! on_every_level {
        ($body:ident($($arg:ident: $ty:ty),*), $check:expr) => {{
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl")]
                fn avx512($($arg: $ty),*) { $body($($arg),*) }
                #[target_feature(enable = "avx2")]
                fn avx2($($arg: $ty),*) { $body($($arg),*) }
                if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") {
                    // SAFETY: the features were detected on the line above.
                    $check("avx512", &|$($arg: $ty),*| unsafe { avx512($($arg),*) });
                }
                if is_x86_feature_detected!("avx2") {
                    // SAFETY: the feature was detected on the line above.
                    $check("avx2", &|$($arg: $ty),*| unsafe { avx2($($arg),*) });
                }
            }
            $check("portable", &|$($arg: $ty),*| $body($($arg),*));
        }};
    }

    type Pairs<'a> = &'a dyn Fn(&[f32], usize, &[f32], usize, usize, &mut [f32], usize);

    #[test]
    fn pairs_are_offsets_and_inner_products_on_every_level() {
        let shapes: [(usize, usize, usize); 8] =
            [(1, 0, 1), (4, 0, 33), (3, 1, 15), (4, 16, 16), (5, 16, 17), (9, 8, 70), (13, 253, 100), (2, 7, 0)];
        for (users, width, ads) in shapes {
            let groups = numbers(1, users.div_ceil(GROUP) * (1 + width) * GROUP);
            let panels = numbers(2, ads.div_ceil(LANES) * (1 + width) * LANES);
            let stride = ads + 3;
            // In the order of the kernel, one pair at a time.
            let naive = |user: usize, ad: usize| {
                let user_at = |step: usize| groups[(user / GROUP * (1 + width) + step) * GROUP + user % GROUP];
                let ad_at = |step: usize| panels[(ad / LANES * (1 + width) + step) * LANES + ad % LANES];
                (1..=width).fold(user_at(0) + ad_at(0), |sum, step| sum + user_at(step) * ad_at(step))
            };
            let check = |level: &str, kernel: Pairs<'_>| {
                let mut out = vec![f32::NAN; users * stride];
                kernel(&groups, users, &panels, ads, width, &mut out, stride);
                for (user, row) in out.chunks(stride).enumerate() {
                    for (ad, value) in row[..ads].iter().enumerate() {
                        assert_eq!(
                            value.to_bits(),
                            naive(user, ad).to_bits(),
                            "{level}: {user}, {ad} of width {width}"
                        );
                    }
                    assert!(row[ads..].iter().all(|value| value.is_nan()), "{level}: beyond the tile");
                }
            };
            on_every_level!(
                pair_logits_body(a: &[f32], b: usize, c: &[f32], d: usize, e: usize, f: &mut [f32], g: usize),
                check
            );
            check("dispatched", &pair_logits);
        }
    }

    #[test]
    fn the_logistic_function_is_near_the_exact_one_on_every_level() {
        let mut inputs: Vec<f32> = (-4000..=4000).map(|step| step as f32 / 37.0).collect();
        inputs.extend(numbers(5, 10_001).iter().map(|number| number * 20.0));
        inputs.extend([0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, f32::MIN_POSITIVE]);
        let check = |level: &str, kernel: &dyn Fn(&mut [f32])| {
            let mut out = inputs.clone();
            kernel(&mut out);
            for (&input, &value) in inputs.iter().zip(&out) {
                let exact = 1.0 / (1.0 + (-f64::from(input)).exp());
                assert!((f64::from(value) - exact).abs() <= 2e-7, "{level}: {input}: {value} for {exact}");
                assert_eq!(value.to_bits(), logistic_of(input).to_bits(), "{level}: {input}");
                // Small probabilities keep their digits.
                let relative = (f64::from(value) / exact - 1.0).abs();
                assert!(relative <= 2e-6 || !(-20.0..=20.0).contains(&input), "{level}: {input}: {value} for {exact}");
            }
            let mut missing = [f32::NAN; 17];
            kernel(&mut missing);
            assert!(missing.iter().all(|value| value.is_nan()), "{level}");
        };
        on_every_level!(logistic_body(a: &mut [f32]), check);
        check("dispatched", &logistic);
    }

    #[test]
    fn the_logistic_function_never_falls() {
        let mut values: Vec<f32> = (-900_000..=900_000).map(|step| step as f32 / 10_000.0).collect();
        logistic(&mut values);
        assert!(values.windows(2).all(|pair| pair[0] <= pair[1] + 1.2e-7 * pair[1]));
    }
}
