//! The cosine distance of two vectors, for comparing a query with single vectors. The graph computes
//! its own.

/// The number of sums that are computed side by side, so that the compiler can use wide registers.
const LANES: usize = 8;

/// Returns the cosine distance of two vectors of the same length that have a direction, from 0 to 2.
pub(crate) fn cosine_distance(left: &[f32], right: &[f32]) -> f32 {
    let (mut product, mut left_square, mut right_square) =
        ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
    for (left, right) in left.chunks(LANES).zip(right.chunks(LANES)) {
        for (lane, (left, right)) in left.iter().zip(right).enumerate() {
            product[lane] += left * right;
            left_square[lane] += left * left;
            right_square[lane] += right * right;
        }
    }
    let sum = |lanes: [f32; LANES]| lanes.iter().sum::<f32>();
    let lengths = f32::sqrt(sum(left_square)) * f32::sqrt(sum(right_square));
    (1.0 - sum(product) / lengths.max(f32::MIN_POSITIVE)).clamp(0.0, 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_depends_on_the_angle_alone() {
        let close = |left: &[f32], right: &[f32], distance: f32| {
            assert!(
                (cosine_distance(left, right) - distance).abs() < 1e-6,
                "{left:?} {right:?}"
            );
        };
        close(&[1.0, 0.0], &[5.0, 0.0], 0.0);
        close(&[1.0, 0.0], &[0.0, 0.1], 1.0);
        close(&[1.0, 2.0], &[-2.0, -4.0], 2.0);
        close(&[1.0; 20], &[3.0; 20], 0.0);
        let far: Vec<f32> = (0..20)
            .map(|n| if n % 2 == 0 { 1.0 } else { -1.0 })
            .collect();
        close(&[1.0; 20], &far, 1.0);
    }
}
