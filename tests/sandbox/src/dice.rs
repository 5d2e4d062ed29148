//! Dice: what chance decides in the world, the same at each run of the same seed.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

/// A generator of numbers (SplitMix64): nothing secret hangs on it, only that a failed test can be run again.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn roll(&mut self) -> u64 {
        // The constants are SplitMix64's own.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// One of `0..count`; 0 when there is none.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        let count = u64::try_from(count).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.roll() % count).unwrap_or(0)
    }

    /// Whether it happens, at so many percent.
    pub(crate) fn happens(&mut self, percent: u32) -> bool {
        self.roll() % 100 < u64::from(percent)
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let words = std::iter::repeat_with(|| self.roll().to_be_bytes()).take(count.div_ceil(8));
        words.flatten().take(count).collect()
    }

    /// 128 bits in base64url, as RFC 8555 section 11.3 wants of a token.
    pub(crate) fn token(&mut self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.bytes(16))
    }

    /// Any order.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides() {
        let draw = |seed| Dice::new(seed).token();
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        let mut dice = Dice::new(1);
        let hits = (0..10_000).filter(|_| dice.happens(5)).count();
        assert!((400..600).contains(&hits), "{hits}");
    }
}
