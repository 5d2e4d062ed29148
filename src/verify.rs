//! Looks again at what was deployed until it is so, or the time is over.

pub mod edge;

use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::aliyun::{self, Account};
use crate::cert::Fingerprint;
use crate::config::Target;
use crate::look;
use crate::plan::Served;

/// The cloud's documents promise effect "within a minute".
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The first look comes at once: most clouds' databases show a write to its writer.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// Looks further apart than this would only make the end late.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Looks again that may be under way side by side. They share the pace with the looks before an upload, which must not
/// queue behind hundreds of them: these make them wait for less than a second.
pub const SIDE_BY_SIDE: usize = 32;

/// What looking again found.
#[derive(Debug)]
pub enum Verdict {
    /// The cloud shows the new leaf.
    Proved,
    /// It may not be looked at: the cloud's acceptance is all there is.
    Blind(aliyun::Error),
    /// It did not show the new leaf in time; the last look.
    NotYet(Served),
}

/// Looks at `target` until it shows `wanted` or `until` is over, each time with a permit of `gate`.
pub async fn readback(
    gate: &Semaphore,
    account: &Account,
    target: &Target,
    wanted: Fingerprint,
    until: Instant,
) -> Verdict {
    let account = account.until(Some(until));
    let mut pause = FIRST_PAUSE;
    let mut last = Served::Unknown("there was no time to look".to_owned());
    loop {
        let Ok(permit) = timeout_at(until, gate.acquire()).await else {
            return Verdict::NotYet(last);
        };
        let looked = look::served(&account, target).await;
        drop(permit);
        let served = match looked {
            (Served::Leaf(leaf), _) if leaf.fingerprint == wanted => {
                return Verdict::Proved;
            }
            (Served::Unknown(_), Some(error)) if !error.retryable() => {
                return Verdict::Blind(error);
            }
            (served, _) => served,
        };
        if Instant::now() + pause >= until {
            return Verdict::NotYet(served);
        }
        last = served;
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
