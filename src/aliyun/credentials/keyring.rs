//! The AccessKey in use: found once, renewed before it ends, by one for all who wait.

use std::rc::Rc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::super::api::Product;
use super::super::error::Error;
use super::super::pace::Pace;
use super::super::{Account, Inner, authority};
use super::chain::{self, Passed, Source, Won};
use super::{Credentials, Miss};

/// Where the AccessKey in use came from, and what was passed over before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The source, for people: `environment`, ``profile `prod` of /home/ops/.aliyun/config.json (RamRoleArn)``...
    pub source: String,
    /// The sources before it, each with why.
    pub passed_over: Vec<PassedOver>,
}

/// A source that gave no AccessKey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedOver {
    /// Its name, for people.
    pub source: String,
    /// Why it was passed over.
    pub why: String,
}

/// The account's AccessKey, found at the first call.
#[derive(Default)]
pub(in super::super) struct Keyring {
    state: Mutex<State>,
}

/// What a call goes out with.
#[derive(Clone)]
pub(in super::super) struct Opened {
    pub(in super::super) credentials: Rc<Credentials>,
    pace: Rc<Paces>,
}

/// The documented limits are those of a user at an endpoint: each has a pace of its own.
struct Paces {
    cdn: Pace,
    dns: Pace,
    sts: Pace,
}

impl Opened {
    pub(in super::super) fn pace(&self, product: Product) -> &Pace {
        match product {
            Product::Cdn => &self.pace.cdn,
            Product::Dns => &self.pace.dns,
            Product::Sts => &self.pace.sts,
        }
    }
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    /// When it was tried in vain, and why.
    failed: Option<(Instant, Error)>,
}

struct Held {
    source: Source,
    opened: Opened,
    fetched: Instant,
    name: String,
    passed: Vec<Passed>,
}

impl Keyring {
    /// The key as it may be used now. Whoever comes first finds or renews it; the others wait for that.
    pub(in super::super) async fn opened(&self, account: &Account) -> Result<Opened, Error> {
        let mut state = self.state.lock().await;
        let now = account.inner.stamp.now();
        if let Some(held) = state.held.as_ref().filter(|held| !held.is_due(now)) {
            return Ok(held.opened.clone());
        }
        match state.fetch(account).await {
            Ok(opened) => Ok(opened),
            Err(error) => match state.held.as_ref().filter(|held| held.lives(now)) {
                Some(held) => Ok(held.opened.clone()),
                None => Err(error),
            },
        }
    }

    /// The cloud says that the key has expired: is there another now?
    ///
    /// # Errors
    /// Why it cannot be renewed.
    pub(in super::super) async fn renew(
        &self,
        account: &Account,
        used: &Opened,
    ) -> Result<bool, Error> {
        let mut state = self.state.lock().await;
        let held = state.held.as_ref().map(|held| Rc::clone(&held.opened.credentials));
        if held.is_some_and(|held| !Rc::ptr_eq(&held, &used.credentials)) {
            return Ok(true);
        }
        let opened = state.fetch(account).await?;
        Ok(!opened.credentials.is(&used.credentials))
    }

    /// Where the key came from.
    pub(in super::super) async fn found(&self, account: &Account) -> Result<Found, Error> {
        drop(self.opened(account).await?);
        let state = self.state.lock().await;
        let held = state.held.as_ref();
        let passed = held.map(|held| held.passed.as_slice()).unwrap_or_default();
        Ok(Found {
            source: held.map(|held| held.name.clone()).unwrap_or_default(),
            passed_over: passed.iter().map(Passed::told).collect(),
        })
    }

    /// What people should know: sources that are set up and broken, and what is used in their place.
    pub(in super::super) fn remarks(&self, inner: &Inner) -> Vec<String> {
        let Ok(state) = self.state.try_lock() else { return Vec::new() };
        let Some(held) = &state.held else { return Vec::new() };
        let broken = held.passed.iter().filter_map(|passed| Some((passed, passed.miss.help()?)));
        let remark = |(passed, help): (&Passed, &str)| {
            format!(
                "[aliyun.{}] uses the AccessKey of: {}. Passed over: {}: {}\nhelp: {help}",
                inner.name,
                held.name,
                passed.source.name(),
                passed.miss.why()
            )
        };
        broken.map(remark).collect()
    }
}

impl State {
    /// Finds the key, or the next one of the same source. What has just failed is not tried again at once.
    async fn fetch(&mut self, account: &Account) -> Result<Opened, Error> {
        if let Some((_, error)) = self.failed.as_ref().filter(|(at, _)| at.elapsed() < AGAIN) {
            return Err(error.clone());
        }
        let fetched = match &mut self.held {
            Some(held) => held.renew(account).await,
            None => Held::find(account).await.map(|found| self.held.insert(found).opened.clone()),
        };
        match &fetched {
            Ok(_) => self.failed = None,
            // Somebody else may have more time.
            Err(_) if account.left().is_some_and(|left| left.is_zero()) => {}
            Err(error) => {
                tracing::debug!(account = account.name(), code = error.code, "no AccessKey");
                self.failed = Some((Instant::now(), error.clone()));
            }
        }
        fetched
    }
}

impl Held {
    async fn find(account: &Account) -> Result<Self, Error> {
        let (Won { source, name, lane, key }, passed) = chain::find(account).await?;
        tracing::info!(account = account.name(), source = name, key = key.id, "an AccessKey");
        // By what stays: temporary keys change, the account's limits do not.
        let inner = &account.inner;
        let pace = |url| Pace::new(&lane, &authority(url), &inner.pace);
        let (cdn, dns, sts) = (pace(&inner.cdn), pace(&inner.dns), pace(&inner.sts));
        let pace = Rc::new(Paces { cdn, dns, sts });
        let opened = Opened { credentials: Rc::new(key), pace };
        Ok(Self { source, opened, fetched: Instant::now(), name, passed })
    }

    /// The next key of the same source, which is read anew.
    async fn renew(&mut self, account: &Account) -> Result<Opened, Error> {
        let won = match self.source.ask(account).await {
            Ok(won) => chain::with_role(account, won).await?,
            Err(Miss::Broken(error)) => return Err(error),
            Err(Miss::Absent(what)) => {
                let what = format!("{} gives no AccessKey any more: {what}", self.name);
                return Err(super::document::broken(&what, "see that it is as it was"));
            }
        };
        tracing::info!(account = account.name(), source = won.name, "an AccessKey was renewed");
        self.opened.credentials = Rc::new(won.key);
        self.fetched = Instant::now();
        Ok(self.opened.clone())
    }

    /// Is it time for the next key? With a clock that is wrong every key may look old: then the cloud's word counts.
    fn is_due(&self, now: Timestamp) -> bool {
        let near = self.expires().is_some_and(|end| end.duration_since(now) <= EARLY);
        near && self.fetched.elapsed() >= AGAIN
    }

    fn lives(&self, now: Timestamp) -> bool {
        self.expires().is_none_or(|end| end > now)
    }

    fn expires(&self) -> Option<Timestamp> {
        self.opened.credentials.expires
    }
}

impl Passed {
    fn told(&self) -> PassedOver {
        PassedOver { source: self.source.name().to_owned(), why: self.miss.why().to_owned() }
    }
}

impl Miss {
    /// Why, for people.
    pub(super) fn why(&self) -> &str {
        match self {
            Self::Absent(why) => why,
            Self::Broken(error) => &error.message,
        }
    }

    /// What to do about one that is broken.
    pub(super) fn help(&self) -> Option<&str> {
        match self {
            Self::Absent(_) => None,
            Self::Broken(error) => Some(&error.help),
        }
    }
}

/// The official SDK for Go renews when 180 s are left: longer than any call lasts.
const EARLY: SignedDuration = SignedDuration::from_secs(180);
/// A source that failed, or gave a key that is near its end, is let alone for so long.
const AGAIN: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
