//! Again after how long, or not: by time, not by count. Pure.

use std::time::Duration;

use super::error::Error;

/// What a call has gone through, over all its rounds. Between two of them it rests: the domain is being configured, which
/// takes minutes, and nothing that others need is held meanwhile.
#[derive(Debug, Default)]
pub struct Effort {
    so_far: SoFar,
    attempts: u32,
    unsure: bool,
    rest: Option<Duration>,
    last: Option<Error>,
}

impl Effort {
    /// How long to rest before the next round; none: there is no next round.
    pub fn rest(&mut self) -> Option<Duration> {
        self.rest.take()
    }

    /// Is there another round after a rest?
    #[must_use]
    pub fn rests(&self) -> bool {
        self.rest.is_some()
    }

    /// How often the call was sent.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// May an attempt have had its effect, though it failed?
    pub(super) fn is_unsure(&self) -> bool {
        self.unsure
    }

    /// Was the AccessKey renewed for it?
    pub(super) fn has_renewed(&self) -> bool {
        self.so_far.keys > 0
    }

    /// The last error, where the time ends before another attempt.
    pub(super) fn last(&self) -> Option<Error> {
        self.last.clone()
    }

    /// An attempt was answered well: how many there were.
    pub(super) fn done(&mut self) -> u32 {
        self.attempts += 1;
        self.attempts
    }

    /// An attempt failed, after so long; its error, in the light of those before.
    pub(super) fn failed(
        &mut self,
        error: Error,
        again: Again,
        unsure: bool,
        took: Duration,
    ) -> Error {
        self.attempts += 1;
        self.unsure |= unsure;
        self.so_far.count(again, took);
        let error = Error { attempts: self.attempts, ..error.after(self.unsure) };
        self.last = Some(error.clone());
        error
    }

    /// How long to wait now, which is counted as spent; none: it is not tried again.
    pub(super) fn wait(
        &mut self,
        again: Again,
        told: Option<Duration>,
        left: Option<Duration>,
        luck: f64,
    ) -> Option<Duration> {
        let wait = wait_before(again, told, self.so_far, left, luck)?;
        self.so_far.spend(wait);
        self.rest = (again == Again::Slowly).then_some(wait);
        Some(wait)
    }
}

/// How a failed attempt may be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// Not at all: it would fail again.
    Never,
    /// Soon, for a minute: transport, 5xx, a used nonce.
    Soon,
    /// As soon, at half the pace.
    Throttled,
    /// Slowly, for five minutes: the domain is being configured.
    Slowly,
    /// Once, at once, signed with the cloud's time.
    Clock,
    /// Once, at once, with a fresh AccessKey.
    Keys,
}

/// What a call has gone through so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SoFar {
    /// Failures that come again soon, in a row.
    pub(super) soon: u32,
    /// Failures that come again slowly, in a row.
    pub(super) slowly: u32,
    /// Spent on the row: attempts and waits, but not the waiting for the pace, which is no failure.
    pub(super) row: Duration,
    /// Spent on the call, likewise.
    pub(super) all: Duration,
    /// The clock was corrected.
    pub(super) clock: u32,
    /// The AccessKey was renewed.
    pub(super) keys: u32,
}

impl SoFar {
    /// Counts a failed attempt; a failure of another kind begins another row.
    pub(super) fn count(&mut self, again: Again, attempt: Duration) {
        let (soon, slowly, other) = match again {
            Again::Soon | Again::Throttled => (self.soon + 1, 0, self.slowly > 0),
            Again::Slowly => (0, self.slowly + 1, self.soon > 0),
            Again::Clock | Again::Keys | Again::Never => (0, 0, true),
        };
        if other {
            self.row = Duration::ZERO;
        }
        (self.soon, self.slowly) = (soon, slowly);
        self.clock += u32::from(again == Again::Clock);
        self.keys += u32::from(again == Again::Keys);
        self.spend(attempt);
    }

    /// Time has gone by.
    pub(super) fn spend(&mut self, time: Duration) {
        self.row += time;
        self.all += time;
    }
}

/// After how long to try again; none: not. `told` is the cloud's own word (`x-acs-retry-after`), the least wait then;
/// `left` is what is left of a deadline, `luck` is drawn from 0 to 1.
pub(super) fn wait_before(
    again: Again,
    told: Option<Duration>,
    so_far: SoFar,
    left: Option<Duration>,
    luck: f64,
) -> Option<Duration> {
    let (ours, most) = match again {
        Again::Never => return None,
        Again::Clock => return (so_far.clock <= 1).then_some(Duration::ZERO),
        Again::Keys => return (so_far.keys <= 1).then_some(Duration::ZERO),
        Again::Soon | Again::Throttled => (jittered(so_far.soon, luck), SOON_FOR),
        Again::Slowly => (SLOWLY_FIRST + SLOWLY_MORE * so_far.slowly.saturating_sub(1), SLOWLY_FOR),
    };
    let wait = told.map_or(ours, |told| told.max(ours));
    let in_time = so_far.row + wait <= most && so_far.all + wait <= SLOWLY_FOR;
    let in_deadline = left.is_none_or(|left| wait < left);
    (in_time && in_deadline).then_some(wait)
}

/// Full jitter: anything from nothing to the doubled step, so that many of us do not come back together.
fn jittered(times: u32, luck: f64) -> Duration {
    let doubled = SOON_FIRST * 2_u32.saturating_pow(times.saturating_sub(1).min(16));
    doubled.min(SOON_MOST).mul_f64(luck.clamp(0.0, 1.0))
}

/// All numbers are DESIGN's: what official SDKs use for throttling, made longer for a timer's job.
const SOON_FIRST: Duration = Duration::from_millis(500);
const SOON_MOST: Duration = Duration::from_secs(8);
const SOON_FOR: Duration = Duration::from_secs(60);
/// Terraform's steps for `ServiceBusy`, in every resource of the CDN.
const SLOWLY_FIRST: Duration = Duration::from_secs(3);
const SLOWLY_MORE: Duration = Duration::from_secs(5);
const SLOWLY_FOR: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// The waits of a call that fails always so, each attempt lasting as long, with full luck: in milliseconds.
    fn waits(again: Again, told: Option<Duration>, attempt: u64) -> Vec<u128> {
        let mut so_far = SoFar::default();
        let mut waits = Vec::new();
        loop {
            so_far.count(again, ms(attempt));
            let Some(wait) = wait_before(again, told, so_far, None, 1.0) else { return waits };
            so_far.spend(wait);
            waits.push(wait.as_millis());
        }
    }

    #[test]
    fn rows_of_failures() {
        let check = |row: &str, again, told: Option<u64>, attempt, want: &[u128]| {
            assert_eq!(waits(again, told.map(ms), attempt), want, "{row}");
        };
        let soon = [500, 1000, 2000, 4000, 8000, 8000, 8000, 8000, 8000, 8000];
        let slowly = [3000, 8000, 13000, 18000, 23000, 28000, 33000, 38000, 43000, 48000];
        check("permanent", Again::Never, None, 0, &[]);
        check("permanent, whatever is told", Again::Never, Some(1), 0, &[]);
        check("soon, a minute", Again::Soon, None, 0, &soon);
        check("attempts count", Again::Soon, None, 10_000, &soon[..4]);
        check("a time-out of the whole minute", Again::Soon, None, 60_000, &[]);
        check("throttled", Again::Throttled, None, 0, &soon);
        check("throttled, told", Again::Throttled, Some(20_000), 0, &[20_000; 3]);
        check("told too much", Again::Throttled, Some(61_000), 0, &[]);
        check("told of a 5xx", Again::Soon, Some(30_000), 0, &[30_000; 2]);
        check("slowly, five minutes", Again::Slowly, None, 0, &slowly);
        check("the clock, once", Again::Clock, None, 0, &[0]);
        check("a fresh key, once", Again::Keys, None, 0, &[0]);
    }

    #[test]
    fn single_decisions() {
        let check = |row: &str, again, told: Option<u64>, left: Option<u64>, luck, want| {
            let mut so_far = SoFar::default();
            so_far.count(again, Duration::ZERO);
            let got = wait_before(again, told.map(ms), so_far, left.map(ms), luck);
            assert_eq!(got, Option::map(want, ms), "{row}");
        };
        check("luck", Again::Soon, None, None, 0.5, Some(250));
        check("no luck needed", Again::Soon, None, None, 0.0, Some(0));
        check("luck out of range", Again::Soon, None, None, 7.0, Some(500));
        check("the deadline is near", Again::Soon, None, Some(500), 1.0, None);
        check("the deadline is far", Again::Soon, None, Some(501), 1.0, Some(500));
        check("a deadline bounds the slow too", Again::Slowly, None, Some(3000), 1.0, None);
        check("the cloud's word is the least", Again::Throttled, Some(300), None, 1.0, Some(500));
        check("and bound by the deadline", Again::Throttled, Some(3000), Some(3000), 1.0, None);
    }

    #[test]
    fn another_kind_begins_another_row() {
        let mut so_far = SoFar::default();
        so_far.count(Again::Slowly, ms(1000));
        so_far.spend(ms(100_000));
        so_far.count(Again::Soon, ms(1000));
        assert_eq!((so_far.row, so_far.all), (ms(1000), ms(102_000)));
        assert_eq!(wait_before(Again::Soon, None, so_far, None, 1.0), Some(ms(500)));
    }

    /// Nothing goes on for ever, however kinds of failure alternate.
    #[test]
    fn it_ends() {
        let mut so_far = SoFar::default();
        for again in [Again::Slowly, Again::Soon, Again::Throttled].iter().cycle() {
            so_far.count(*again, ms(100));
            let Some(wait) = wait_before(*again, None, so_far, None, 1.0) else { break };
            so_far.spend(wait);
        }
        assert!(so_far.all <= ms(300_100), "{so_far:?}");
    }
}
