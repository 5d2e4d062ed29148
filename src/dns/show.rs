//! Waits until the servers of each zone show the TXT values that were put: the CA will ask one of them.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use anyhow::bail;
use futures_util::future::join_all;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::time::{Instant, sleep, timeout_at};

use super::ask::{Asker, Server, Way, fqdn, says_something};
use super::wire::{Recursion, Silence};

/// A name and the TXT values that must be seen there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The name at which they stand, after CNAMEs.
    pub name: String,
    /// The values, each of which must be there.
    pub values: BTreeSet<String>,
}

/// What one server says of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
enum View {
    Shows,
    Lacks(BTreeSet<String>),
    /// No answer, or one that says nothing; why.
    Silent(String),
}

/// One name at one server.
struct Look {
    name: Name,
    values: BTreeSet<String>,
    server: Server,
    view: View,
    /// So long a resolver's cache may go on saying what it said first.
    cached: Option<Duration>,
}

/// How long to wait.
struct Patience {
    begun: Instant,
    /// `propagation_timeout`.
    said: Duration,
    limit: Duration,
}

impl Patience {
    fn end(&self) -> Instant {
        self.begun + self.limit
    }

    /// A resolver was asked for the CNAME before the put, and may remember that there was nothing (RFC 2308): what it
    /// says until then is no sign.
    fn outlast(&mut self, looks: &[Look]) {
        let cached = looks.iter().filter_map(|look| look.cached).max().unwrap_or_default();
        self.limit = self.said + cached.min(LONGEST_CACHED);
    }
}

impl Asker {
    /// Waits until every server that answers shows all values of all names, and at least one for each name. Answers which
    /// servers did not say, and why.
    ///
    /// # Errors
    /// After `limit` (and the time that a cache has said to keep), which server lacks which value.
    pub async fn shown(&self, wanted: &[Wanted], limit: Duration) -> anyhow::Result<Vec<String>> {
        let mut patience = Patience { begun: Instant::now(), said: limit, limit };
        let mut looks = match timeout_at(patience.end(), self.looks(wanted)).await {
            Ok(looks) => looks?,
            Err(_elapsed) => bail!("{}", late(limit, "the zone's servers could not be found")),
        };
        let mut pause = FIRST_PAUSE;
        loop {
            let round = timeout_at(patience.end(), self.look_again(&mut looks)).await;
            if round.is_ok() && is_shown(&looks) {
                return Ok(open(&looks));
            }
            patience.outlast(&looks);
            if round.is_err() || Instant::now() + pause >= patience.end() {
                bail!("{}", late(patience.limit, &lacking(&looks)));
            }
            self.add_by_https(&mut looks);
            sleep(pause).await;
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
        }
    }

    async fn looks(&self, wanted: &[Wanted]) -> anyhow::Result<Vec<Look>> {
        let found = join_all(wanted.iter().map(|wanted| self.looks_of(wanted))).await;
        Ok(found.into_iter().collect::<anyhow::Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    async fn looks_of(&self, wanted: &Wanted) -> anyhow::Result<Vec<Look>> {
        let name = fqdn(&wanted.name)?;
        let look = |server| Look::new(&name, &wanted.values, server);
        Ok(self.servers(&wanted.name).await?.into_iter().map(look).collect())
    }

    /// Asks where the values were not seen yet, all at once.
    async fn look_again(&self, looks: &mut [Look]) {
        let open = looks.iter_mut().filter(|look| look.view != View::Shows);
        join_all(open.map(async |look| {
            let answer = self.ask(&look.server, &look.name, RecordType::TXT).await;
            look.see(answer);
        }))
        .await;
    }

    /// A name of which all servers are silent is asked for by HTTPS too: resolvers may be reached where the zone's own
    /// servers are not.
    fn add_by_https(&self, looks: &mut Vec<Look>) {
        let Some(by_https) = self.by_https() else { return };
        let is_silent = |name: &Name| {
            let mut of_name = looks.iter().filter(|look| look.name == *name);
            of_name.all(|look| matches!(look.view, View::Silent(_)) && look.server != by_https)
        };
        let mut more: Vec<Look> = Vec::new();
        for look in looks.iter().filter(|look| is_silent(&look.name)) {
            if !more.iter().any(|added| added.name == look.name) {
                more.push(Look::new(&look.name, &look.values, by_https.clone()));
            }
        }
        looks.extend(more);
    }
}

/// A dead server among several does not block, a lagging one does; nor is silence of all a proof.
fn is_shown(looks: &[Look]) -> bool {
    let nobody_lacks = looks.iter().all(|look| !matches!(look.view, View::Lacks(_)));
    let somebody_shows =
        |name: &Name| looks.iter().any(|look| look.name == *name && look.view == View::Shows);
    nobody_lacks && looks.iter().all(|look| somebody_shows(&look.name))
}

impl Look {
    fn new(name: &Name, values: &BTreeSet<String>, server: Server) -> Self {
        let view = View::Silent("not asked yet".to_owned());
        Self { name: name.clone(), values: values.clone(), server, view, cached: None }
    }

    fn see(&mut self, answer: Result<Message, Silence>) {
        self.view = match answer {
            Ok(answer) if says_something(&answer) => {
                if self.may_be_cached(&answer) {
                    self.cached.get_or_insert_with(|| lives(&answer));
                }
                self.judge(answer.answers.iter().filter_map(|record| text(&record.data)).collect())
            }
            Ok(answer) => View::Silent(code(answer.metadata.response_code)),
            Err(silence) => View::Silent(silence.to_string()),
        };
    }

    /// The zone's own servers have no cache, and say that they are so also where they are set as `nameservers`.
    fn may_be_cached(&self, answer: &Message) -> bool {
        match self.server.way {
            Way::Https | Way::Plain(_, Recursion::Desired) => !answer.metadata.authoritative,
            Way::Plain(_, Recursion::Off) => false,
        }
    }

    fn judge(&self, seen: BTreeSet<String>) -> View {
        let missing: BTreeSet<_> = self.values.difference(&seen).cloned().collect();
        if missing.is_empty() { View::Shows } else { View::Lacks(missing) }
    }
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zone_name = super::ask::plain(&self.name);
        write!(f, "{}", self.server)?;
        match &self.view {
            View::Shows => write!(f, " shows {zone_name}"),
            View::Lacks(values) => {
                let values: Vec<_> = values.iter().map(String::as_str).collect();
                write!(f, " lacks {} of {zone_name}", values.join(" and "))
            }
            View::Silent(why) => write!(f, " did not say for {zone_name}: {why}"),
        }
    }
}

/// The strings of a TXT record as one.
pub(super) fn text(data: &RData) -> Option<String> {
    let RData::TXT(txt) = data else { return None };
    Some(String::from_utf8_lossy(&txt.txt_data.concat()).into_owned())
}

/// How long a cache may keep this answer: the records, or that there are none (RFC 2308, 5).
pub(super) fn lives(answer: &Message) -> Duration {
    let ttl = |record: &Record| {
        let RData::SOA(soa) = &record.data else { return record.ttl };
        record.ttl.min(soa.minimum)
    };
    let records = answer.answers.iter().chain(&answer.authorities);
    Duration::from_secs(records.map(ttl).max().unwrap_or(0).into())
}

fn code(code: ResponseCode) -> String {
    format!("it answered {code}")
}

/// Those that do not show it, in words.
fn open(looks: &[Look]) -> Vec<String> {
    looks.iter().filter(|look| look.view != View::Shows).map(ToString::to_string).collect()
}

fn lacking(looks: &[Look]) -> String {
    let open = open(looks);
    if open.is_empty() { "no server is known".to_owned() } else { open.join("; ") }
}

fn late(limit: Duration, what: &str) -> String {
    format!(
        "the TXT records do not show everywhere after {} s: {what}\nhelp: if the provider is slow, raise `propagation_timeout` \
         of the `[dns.NAME]`; if these servers cannot be reached from here, set its `nameservers` or its `doh`",
        limit.as_secs()
    )
}

/// Most providers show a record within a second: nothing is lost by looking early, at their own servers.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Negative answers live for an hour at most, by custom; an order may not live much longer.
const LONGEST_CACHED: Duration = Duration::from_secs(3600);

/// Slow providers take minutes: no need to ask them more often.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
