//! Alibaba Cloud DNS: the zone is the longest suffix among the account's domains, a record is known by its RecordId.

use anyhow::Context as _;
use futures_util::future::LocalBoxFuture;
use tokio::sync::OnceCell;

use super::{Dns, NotPut};
use crate::aliyun::{Account, Error, Kind, Zone};

/// The account, and its domains as they were when first needed in this run.
pub(super) struct Alidns {
    account: Account,
    zones: OnceCell<Vec<Zone>>,
}

/// Where a record goes: DomainName and RR of the API.
#[derive(Debug, PartialEq, Eq)]
struct Place<'a> {
    zone: &'a str,
    rr: &'a str,
}

impl Alidns {
    pub(super) fn new(account: Account) -> Self {
        Self { account, zones: OnceCell::new() }
    }

    async fn place<'a>(&'a self, account: &Account, name: &'a str) -> anyhow::Result<Place<'a>> {
        let zones = self.zones.get_or_try_init(|| account.describe_domains()).await?;
        place(zones, name).with_context(|| not_here(zones, name, self.account.name()))
    }

    async fn put_value(&self, name: &str, value: &str) -> anyhow::Result<Option<String>> {
        let place = self.place(&self.account, name).await.map_err(NotPut::from)?;
        let error = match self.account.add_domain_record(place.zone, place.rr, value).await {
            Ok(id) => return Ok(Some(id)),
            Err(error) => error,
        };
        let had_no_effect = had_no_effect(&error);
        let error =
            anyhow::Error::new(error).context(format!("the TXT record at {name} cannot be added"));
        Err(if had_no_effect { NotPut::from(error).into() } else { error })
    }

    async fn take_value(&self, name: &str, value: &str, id: Option<&str>) -> anyhow::Result<()> {
        // What was put is taken away also after the word to stop.
        let account = self.account.unstoppable();
        let ids = match id {
            Some(id) => vec![id.to_owned()],
            None => self.ids(&account, name, value).await?,
        };
        for id in ids {
            account
                .delete_domain_record(&id)
                .await
                .with_context(|| format!("the TXT record at {name} cannot be deleted"))?;
        }
        Ok(())
    }

    /// Killed between the intent and the answer, we know the value only.
    async fn ids(&self, account: &Account, name: &str, value: &str) -> anyhow::Result<Vec<String>> {
        let place = self.place(account, name).await?;
        let records = account.describe_sub_domain_records(name, place.zone).await?;
        let ours = records
            .into_iter()
            .filter(|record| record.value == value && record.rr.eq_ignore_ascii_case(place.rr));
        Ok(ours.map(|record| record.id).collect())
    }
}

impl Dns for Alidns {
    fn put<'a>(
        &'a self,
        name: &'a str,
        value: &'a str,
    ) -> LocalBoxFuture<'a, anyhow::Result<Option<String>>> {
        Box::pin(self.put_value(name, value))
    }

    fn take_away<'a>(
        &'a self,
        name: &'a str,
        value: &'a str,
        id: Option<&'a str>,
    ) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        Box::pin(self.take_value(name, value, id))
    }
}

/// The longest zone that ends `name`, or is it: a CNAME may lead to a zone that is there for proofs alone. An IDN zone
/// goes by its ASCII form, which the API takes as DomainName too.
fn place<'a>(zones: &'a [Zone], name: &'a str) -> Option<Place<'a>> {
    let fits = |zone: &'a Zone| {
        let zone = ascii(zone);
        let rest = name.strip_suffix(zone)?;
        let rr = if rest.is_empty() { "@" } else { rest.strip_suffix('.')? };
        Some(Place { zone, rr })
    };
    zones.iter().filter_map(fits).max_by_key(|place| place.zone.len())
}

/// Which of these zones of the account `account` holds a record at `name`.
///
/// # Errors
/// None of them does.
pub fn zone_of<'a>(zones: &'a [Zone], name: &'a str, account: &str) -> anyhow::Result<&'a str> {
    let place = place(zones, name).with_context(|| not_here(zones, name, account))?;
    Ok(place.zone)
}

/// Attempts before the last may have had their effect; `Transport` says that none had.
fn had_no_effect(error: &Error) -> bool {
    match error.kind {
        Kind::Transport => true,
        Kind::UnknownOutcome | Kind::Server | Kind::NotEffective => false,
        Kind::Throttled
        | Kind::Busy
        | Kind::Clock
        | Kind::Credentials
        | Kind::Permission
        | Kind::DomainNotFound
        | Kind::NoSuchApi
        | Kind::Config
        | Kind::Permanent => error.attempts <= 1,
    }
}

fn ascii(zone: &Zone) -> &str {
    zone.puny_code.as_deref().filter(|code| !code.is_empty()).unwrap_or(&zone.name)
}

fn not_here(zones: &[Zone], name: &str, account: &str) -> String {
    let mut near: Vec<_> = zones.iter().map(ascii).collect();
    near.sort_by_key(|zone| std::cmp::Reverse(shared_labels(zone, name)));
    near.truncate(NEAREST);
    let near = if near.is_empty() {
        "it has none".to_owned()
    } else {
        format!("nearest: {}", near.join(", "))
    };
    format!(
        "no domain of the Alibaba Cloud DNS account `{account}` holds {name} ({near})\nhelp: add the domain there, or choose another \
         access by `dns` of the certificate; if it is there, the RAM user may lack alidns:DescribeDomains on it"
    )
}

fn shared_labels(zone: &str, name: &str) -> usize {
    zone.rsplit('.').zip(name.rsplit('.')).take_while(|(one, other)| one == other).count()
}

/// Names in an error: enough to see a typing mistake.
const NEAREST: usize = 3;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use std::sync::{Arc, Mutex};

    use reqwest::header::HeaderMap;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::config;
    use crate::ground::{Clock, Env, Ground, Say};
    use crate::http::{Answer, Http};

    fn zones() -> Vec<Zone> {
        let zone = |name: &str, puny: Option<&str>| Zone {
            name: name.to_owned(),
            puny_code: puny.map(str::to_owned),
        };
        vec![
            zone("example.com", Some("")),
            zone("sub.example.com", None),
            zone("中国.com", Some("xn--fiqs8s.com")),
            zone("le.com", None),
        ]
    }

    fn check(row: &str, name: &str, wanted: Option<(&str, &str)>) {
        let zones = zones();
        let got = place(&zones, name).map(|place| (place.zone, place.rr));
        assert_eq!(got, wanted, "{row}");
    }

    #[test]
    fn the_longest_suffix_is_the_zone() {
        check("plain", "_acme-challenge.example.com", Some(("example.com", "_acme-challenge")));
        check("below", "_acme-challenge.a.example.com", Some(("example.com", "_acme-challenge.a")));
        check(
            "two fit",
            "_acme-challenge.sub.example.com",
            Some(("sub.example.com", "_acme-challenge")),
        );
        check("the zone itself", "sub.example.com", Some(("sub.example.com", "@")));
        check("whole labels only", "_acme-challenge.sample.com", None);
        check("idn", "_acme-challenge.xn--fiqs8s.com", Some(("xn--fiqs8s.com", "_acme-challenge")));
        check("none", "_acme-challenge.example.org", None);
    }

    /// An access whose run was told to stop, and the forms that it sent.
    fn stopped() -> (Alidns, Arc<Mutex<Vec<String>>>) {
        let sent = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&sent);
        let http = Http::scripted(Box::new(move |request| {
            let bytes = request.body().unwrap().as_bytes().unwrap();
            let form = String::from_utf8(bytes.to_vec()).unwrap();
            let body = match &form {
                form if form.contains("DescribeDomains") => {
                    r#"{"Domains":{"Domain":[{"DomainName":"example.com"}]}}"#
                }
                form if form.contains("DescribeSubDomainRecords") => {
                    r#"{"DomainRecords":{"Record":[{"RecordId":"7","RR":"@","Value":"v"}]}}"#
                }
                _ => "{}",
            };
            seen.lock().unwrap().push(form);
            Ok(Answer { status: 200, headers: HeaderMap::new(), body: body.into() })
        }));
        let stop = CancellationToken::new();
        stop.cancel();
        let keys = ["ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"]
            .map(|name| (name, "x"));
        let ground = Ground {
            input: crate::ground::Input::nothing(),
            clock: Clock::new(|| jiff::Timestamp::UNIX_EPOCH),
            env: Env::from_iter(keys),
            stop,
            say: Say::nothing(),
            ask: crate::ground::Ask::nobody(),
            width: 80,
        };
        let url = "http://127.0.0.1:1".to_owned();
        let config = config::Aliyun {
            cdn_endpoint: url.clone(),
            dns_endpoint: url,
            ..config::Aliyun::default()
        };
        let account = Account::open("main", &config, None, http, &ground, Vec::new()).unwrap();
        (Alidns::new(account), sent)
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_word_to_stop_nothing_is_put_and_all_is_taken_away() {
        let (access, sent) = stopped();
        assert!(access.put("example.com", "v").await.is_err_and(|error| error.is::<NotPut>()));
        assert_eq!(sent.lock().unwrap().len(), 0);
        access.take_away("example.com", "v", None).await.unwrap();
        let sent = sent.lock().unwrap();
        let last = sent.last().unwrap();
        assert!(last.contains("DeleteDomainRecord") && last.contains("RecordId=7"), "{last}");
    }

    #[test]
    fn what_is_not_here_names_the_nearest() {
        let text = not_here(&zones(), "_acme-challenge.b.exmple.com", "default");
        assert!(text.contains("nearest: example.com") && text.contains("help: "), "{text}");
        assert!(not_here(&[], "a.b", "default").contains("it has none"));
    }
}
