//! Calls that leave one after another, not all at once.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Gives turns that are at least so far apart.
#[derive(Debug)]
pub struct Pace {
    apart: Duration,
    next: Mutex<Option<Instant>>,
}

impl Pace {
    /// The first turn is at once.
    #[must_use]
    pub fn new(apart: Duration) -> Self {
        Self { apart, next: Mutex::default() }
    }

    /// Waits for the next turn, in the order of asking.
    pub async fn turn(&self) {
        sleep_until(self.take()).await;
    }

    fn take(&self) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let turn = next.map_or(now, |next| next.max(now));
        *next = Some(turn + self.apart);
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn turns_are_apart() {
        let pace = Pace::new(Duration::from_millis(20));
        let begun = Instant::now();
        for wanted in [0, 20, 40] {
            pace.turn().await;
            assert_eq!(begun.elapsed().as_millis(), wanted);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let idle = Instant::now();
        pace.turn().await;
        assert_eq!(idle.elapsed(), Duration::ZERO, "no turn is saved up, none is owed");
    }
}
