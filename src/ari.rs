//! ARI (RFC 9773): asks a CA when it wants a certificate renewed, and draws the instant.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, Request, Url};
use serde::Deserialize;
use tokio::sync::{OnceCell, Semaphore};

use crate::http::{Answer, Http, Pace, retry_at};
use crate::secret::Redactor;

/// Asks one CA. Many certificates may be asked about at once: they share the directory, the connections and the pace.
pub struct Asker {
    http: Http,
    directory: String,
    place: OnceCell<Result<Option<String>, String>>,
    gate: Semaphore,
    pace: Pace,
    /// Questions in a row that were not answered at all.
    unanswered: AtomicU32,
}

/// An answer, and when it may be asked for again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// What.
    pub answer: Word,
    /// `Retry-After`, as it came.
    pub retry_at: Option<Timestamp>,
}

/// What a CA says about the renewal of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// Renew it within this window.
    Window {
        /// Its start.
        start: Timestamp,
        /// Its end, after its start.
        end: Timestamp,
        /// The page that explains it.
        explanation: Option<String>,
    },
    /// The CA does no ARI.
    NotOffered,
    /// No answer of use, and hardly one soon (RFC 9773, 4.3.3: a long-term error); why.
    Refused(String),
    /// No answer this time; why.
    Silent(String),
    /// The CA cannot be reached in this run: nothing was asked.
    Away(String),
}

impl Asker {
    /// Asks the CA of this directory. Nothing is asked yet.
    #[must_use]
    pub fn new(http: Http, directory: &str) -> Self {
        Self {
            http,
            directory: directory.to_owned(),
            place: OnceCell::new(),
            gate: Semaphore::new(SIDE_BY_SIDE),
            pace: Pace::new(APART),
            unanswered: AtomicU32::new(0),
        }
    }

    /// What the CA says about the certificate with this id.
    pub async fn ask(&self, id: &str, now: Timestamp) -> Said {
        let only = |answer| Said { answer, retry_at: None };
        let place = match self.place().await {
            Ok(Some(place)) => place,
            Ok(None) => return only(Word::NotOffered),
            Err(why) => return only(Word::Away(why.clone())),
        };
        let _permit = self.gate.acquire().await;
        if self.unanswered.load(Relaxed) >= GIVEN_UP {
            return only(Word::Away("it does not answer".to_owned()));
        }
        self.pace.turn().await;
        let url = format!("{}/{id}", place.trim_end_matches('/'));
        match self.fetch(&url).await {
            Ok(answer) => {
                self.unanswered.store(0, Relaxed);
                Said { answer: word(&answer), retry_at: retry_at(&answer.headers, now) }
            }
            Err(why) => {
                self.unanswered.fetch_add(1, Relaxed);
                only(Word::Silent(why))
            }
        }
    }

    /// Where the CA tells it; the directory is fetched by the first who asks.
    async fn place(&self) -> Result<Option<&str>, &String> {
        let look = || async {
            let page = self.fetch(&self.directory).await?;
            if page.status != 200 {
                return Err(format!("the directory answers {}", page.status));
            }
            let found: Result<Directory, _> = serde_json::from_slice(&page.body);
            found.map(|found| found.renewal_info).map_err(|error| unread("the directory", &error))
        };
        self.place.get_or_init(look).await.as_ref().map(Option::as_deref)
    }

    async fn fetch(&self, url: &str) -> Result<Answer, String> {
        let url = Url::parse(url).map_err(|error| format!("{url} is no URL: {error}"))?;
        let request = Request::new(Method::GET, url);
        self.http.send(request, TIMEOUT).await.map_err(|error| error.to_string())
    }
}

/// The instant in a window: `random` is spread evenly over it. To the second, as windows are.
#[must_use]
pub fn draw(start: Timestamp, end: Timestamp, random: u64) -> Timestamp {
    let span = u128::try_from(end.as_nanosecond() - start.as_nanosecond()).unwrap_or(0);
    // A span of ten thousand years has 69 bits of nanoseconds; the times that matter have 55.
    let into = span.saturating_mul(u128::from(random)) >> 64;
    let nanosecond = start.as_nanosecond() + i128::try_from(into).unwrap_or(0);
    let whole = nanosecond - nanosecond.rem_euclid(1_000_000_000);
    Timestamp::from_nanosecond(whole).unwrap_or(start).max(start)
}

/// When to ask again: the CA's word within reason, six hours without one, and soon after a silence, the `failures`th.
#[must_use]
pub fn ask_again(said: &Said, failures: u32, now: Timestamp) -> Timestamp {
    let wait = match (&said.answer, said.retry_at) {
        (_, Some(at)) => at.duration_since(now).clamp(SHORTEST, LONGEST),
        (Word::Silent(_) | Word::Away(_), None) => {
            (SHORTEST * 4_i32.saturating_pow(failures.saturating_sub(1).min(8))).min(USUAL)
        }
        (Word::Window { .. } | Word::NotOffered | Word::Refused(_), None) => USUAL,
    };
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// What we read of a directory.
#[derive(Deserialize)]
struct Directory {
    #[serde(rename = "renewalInfo", default)]
    renewal_info: Option<String>,
}

/// RFC 9773, 4.2.
#[derive(Deserialize)]
struct Page {
    #[serde(rename = "suggestedWindow")]
    window: Suggested,
    #[serde(rename = "explanationURL", default)]
    explanation: serde_json::Value,
}

#[derive(Deserialize)]
struct Suggested {
    start: Timestamp,
    end: Timestamp,
}

fn word(answer: &Answer) -> Word {
    match answer.status {
        200 => {}
        429 | 500.. => return Word::Silent(format!("the CA answers {}", answer.status)),
        status => return Word::Refused(format!("the CA answers {status}")),
    }
    let Page { window: Suggested { start, end }, explanation } =
        match serde_json::from_slice(&answer.body) {
            Ok(page) => page,
            Err(error) => return Word::Refused(unread("the answer", &error)),
        };
    if end <= start {
        return Word::Refused(format!("a window from {start} to {end}"));
    }
    Word::Window { start, end, explanation: explanation.as_str().and_then(page) }
}

/// The error quotes the answer, which may be as long as it likes.
fn unread(what: &str, error: &serde_json::Error) -> String {
    Redactor::default().clean(&format!("{what} cannot be read: {error}"))
}

/// A link that can be shown: whatever it holds is written as RFC 3986 has it.
fn page(text: &str) -> Option<String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "https" | "http"))?;
    Some(url.to_string()).filter(|url| url.len() <= LONGEST_LINK)
}

/// Any bytes as an answer.
#[cfg(any(test, fuzzing))]
pub(crate) fn hostile(bytes: &[u8]) {
    let headers = reqwest::header::HeaderMap::new();
    let answer = Answer { status: 200, headers, body: bytes.to_vec() };
    match word(&answer) {
        Word::Window { start, end, explanation } => {
            let drawn = draw(start, end, u64::MAX);
            assert!(start <= drawn && drawn <= end, "{drawn} is outside of its window");
            crate::hostile::assert_tame(&explanation.unwrap_or_default());
        }
        Word::Refused(why) | Word::Silent(why) | Word::Away(why) => {
            crate::hostile::assert_tame(&why);
            assert!(why.len() < 4000, "too much is told");
        }
        Word::NotOffered => {}
    }
}

/// A CA that has not answered by then is asked at another time; nobody waits for it.
const TIMEOUT: Duration = Duration::from_secs(15);

/// A CA that is silent so often in a row is not asked again in this run: the uploads of a thousand certificates shall not
/// wait for as many time-outs.
const GIVEN_UP: u32 = 3;

/// More connections bring nothing: the pace is the limit.
const SIDE_BY_SIDE: usize = 16;

/// Fifty a second: ten thousand certificates take 200 s, and Let's Encrypt's limit is 1,000 for each address.
const APART: Duration = Duration::from_millis(20);

/// RFC 9773, 4.3.2: below a minute as a minute, above a day as a day.
const SHORTEST: SignedDuration = SignedDuration::from_mins(1);
const LONGEST: SignedDuration = SignedDuration::from_hours(24);

/// RFC 9773, 4.3.3: after a long-term error, or without a word.
const USUAL: SignedDuration = SignedDuration::from_hours(6);

/// A link that is longer fits no line of a report.
const LONGEST_LINK: usize = 400;

#[cfg(test)]
mod tests;
