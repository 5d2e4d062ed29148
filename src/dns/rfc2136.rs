//! Dynamic update (RFC 2136), signed by TSIG (RFC 8945): one value more, or one value less.

use std::net::SocketAddr;

use anyhow::{Context as _, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::LocalBoxFuture;
use hickory_proto::op::{Message, ResponseCode, update_message};
use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::rdata::tsig::{TsigAlgorithm, TsigError};
use hickory_proto::rr::{Name, RData, Record, RecordSet, TSigner};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::ask::{Asker, fqdn, plain};
use super::{Dns, NotPut, wire};
use crate::config;
use crate::ground::Clock;

/// The primary server and the key that it knows.
pub(super) struct Rfc2136 {
    server: SocketAddr,
    key: Key,
    clock: Clock,
}

/// A TSIG key.
pub(super) struct Key {
    name: String,
    signer: TSigner,
}

impl Key {
    /// The key from its name and its base64 text.
    pub(super) fn new(
        name: &str,
        algorithm: config::TsigAlgorithm,
        secret: &SecretString,
    ) -> anyhow::Result<Self> {
        // base64's own error would quote a byte of the secret.
        let bytes = STANDARD.decode(secret.expose_secret().trim()).ok().with_context(|| {
            format!("the key file of the TSIG key {name} is no base64\nhelp: write the `secret` of the key alone into it")
        })?;
        let bytes = Zeroizing::new(bytes);
        let signer = TSigner::new(bytes.to_vec(), wire_algorithm(algorithm), fqdn(name)?, FUDGE)
            .with_context(|| format!("the TSIG key {name} cannot be used"))?;
        Ok(Self { name: name.to_owned(), signer })
    }
}

impl Rfc2136 {
    pub(super) fn new(server: SocketAddr, key: Key, clock: Clock) -> Self {
        Self { server, key, clock }
    }

    async fn add(&self, name: &str, value: &str) -> anyhow::Result<Option<String>> {
        let (zone, set) = self.rrset(name, value).await.map_err(NotPut::from)?;
        let append = update_message::append(set, zone.clone(), false, false);
        let answer = self.update(&zone, append).await?;
        self.judge(&zone, &answer).map_err(NotPut::from)?;
        Ok(None)
    }

    async fn remove(&self, name: &str, value: &str) -> anyhow::Result<()> {
        let (zone, set) = self.rrset(name, value).await?;
        let delete = update_message::delete_by_rdata(set, zone.clone(), false);
        let answer = self.update(&zone, delete).await?;
        self.judge(&zone, &answer)
    }

    /// The server's zone that holds `name`, and the value as a set of one record.
    async fn rrset(&self, name: &str, value: &str) -> anyhow::Result<(Name, RecordSet)> {
        let found = Asker::new(&[self.server]).zone(name).await?;
        let zone = found.with_context(|| {
            format!(
                "the DNS server {} holds no zone for {name}\nhelp: `server` must be the primary of that zone",
                self.server
            )
        })?;
        let data = RData::TXT(TXT::new(vec![value.to_owned()]));
        Ok((fqdn(&zone)?, RecordSet::from(Record::from_rdata(fqdn(name)?, TTL, data))))
    }

    /// Sends an update. An answer that refuses is not verified: those of the key itself are not signed (RFC 8945, 5.3.2).
    async fn update(&self, zone: &Name, mut message: Message) -> anyhow::Result<Message> {
        let now = u64::try_from(self.clock.now().as_second()).unwrap_or_default();
        let verifier =
            message.finalize(&self.key.signer, now).context("the update cannot be signed")?;
        let sent = wire::encode(&message)?;
        let heard = wire::by_tcp(self.server, &sent).await;
        let heard = heard.and_then(|bytes| Ok((wire::decode(&bytes)?, bytes)));
        let (answer, bytes) = heard.map_err(|silence| {
            anyhow!(
                "the DNS server {} did not take the update of {}: {silence}\nhelp: check `server` of the `[dns.NAME]`, and that \
                 it takes updates by TCP",
                self.server,
                plain(zone)
            )
        })?;
        if refusal(&answer).is_some() {
            return Ok(answer);
        }
        if let Some(mut verifier) = verifier {
            verifier.verify(&bytes).map_err(|error| {
                anyhow!(
                    "the answer of the DNS server {} is not signed by the TSIG key {}: {error}\nhelp: something between here and \
                     there changes answers, or the clocks differ by more than {FUDGE} s",
                    self.server,
                    self.key.name
                )
            })?;
        }
        Ok(answer)
    }

    fn judge(&self, zone: &Name, answer: &Message) -> anyhow::Result<()> {
        let Some((code, tsig)) = refusal(answer) else { return Ok(()) };
        let (zone, key) = (plain(zone), &self.key.name);
        let what = tsig
            .map_or_else(|| code.to_string(), |error| format!("{code}, TSIG {}", tsig_word(error)));
        bail!(
            "the DNS server {} refused the update of {zone}: {what}\nhelp: {}",
            self.server,
            remedy(code, tsig, &zone, key)
        )
    }
}

impl Dns for Rfc2136 {
    fn put<'a>(
        &'a self,
        name: &'a str,
        value: &'a str,
    ) -> LocalBoxFuture<'a, anyhow::Result<Option<String>>> {
        Box::pin(self.add(name, value))
    }

    fn take_away<'a>(
        &'a self,
        name: &'a str,
        value: &'a str,
        _id: Option<&'a str>,
    ) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        Box::pin(self.remove(name, value))
    }
}

pub(super) fn refusal(answer: &Message) -> Option<(ResponseCode, Option<TsigError>)> {
    let tsig = answer.signature().and_then(|record| record.data.error);
    let code = answer.metadata.response_code;
    (code != ResponseCode::NoError || tsig.is_some()).then_some((code, tsig))
}

fn wire_algorithm(algorithm: config::TsigAlgorithm) -> TsigAlgorithm {
    match algorithm {
        config::TsigAlgorithm::HmacSha256 => TsigAlgorithm::HmacSha256,
        config::TsigAlgorithm::HmacSha384 => TsigAlgorithm::HmacSha384,
        config::TsigAlgorithm::HmacSha512 => TsigAlgorithm::HmacSha512,
    }
}

fn tsig_word(error: TsigError) -> String {
    match error {
        TsigError::BadSig => "BADSIG".to_owned(),
        TsigError::BadKey => "BADKEY".to_owned(),
        TsigError::BadTime => "BADTIME".to_owned(),
        TsigError::BadTrunc => "BADTRUNC".to_owned(),
        TsigError::Unknown(code) => format!("error {code}"),
    }
}

fn remedy(code: ResponseCode, tsig: Option<TsigError>, zone: &str, key: &str) -> String {
    match tsig {
        Some(TsigError::BadKey) => {
            return format!(
                "the server knows no key `{key}` with this algorithm: compare `key_name` and `algorithm` with its configuration"
            );
        }
        Some(TsigError::BadSig) => {
            return format!(
                "the secret of the key `{key}` differs from the server's: write it again into `key_file`"
            );
        }
        Some(TsigError::BadTime) => {
            return "the clocks differ by more than five minutes: set this machine's clock"
                .to_owned();
        }
        Some(TsigError::BadTrunc | TsigError::Unknown(_)) | None => {}
    }
    match u16::from(code) {
        REFUSED => format!(
            "allow the key `{key}` to update TXT records of {zone} on the server (BIND: update-policy, Knot: acl)"
        ),
        NOTAUTH => format!(
            "the server is no primary of {zone}, or does not take the key `{key}` for it: correct `server`, or its configuration"
        ),
        NOTZONE => format!("the record is outside of {zone}: look at its delegations"),
        NOTIMP => format!("dynamic updates are switched off for {zone} on the server"),
        _ => format!("look into the log of the server; {zone} may be read-only or its disk full"),
    }
}

/// RFC 2136, 2.2: response codes of an update.
const NOTIMP: u16 = 4;
const REFUSED: u16 = 5;
const NOTAUTH: u16 = 9;
const NOTZONE: u16 = 10;

/// Seconds; what RFC 8945 (10) recommends.
const FUDGE: u16 = 300;

/// Seconds a resolver may keep the value: the record lives for a minute or two.
const TTL: u32 = 60;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use hickory_proto::rr::RecordType;
    use jiff::Timestamp;

    use super::*;
    use crate::dns::fake::{Fake, Zone};

    fn key(text: &str) -> anyhow::Result<Key> {
        Key::new("acme-key", config::TsigAlgorithm::HmacSha256, &SecretString::from(text))
    }

    async fn check(row: &str, zone: Zone, wanted: &[&str]) {
        let fake = Fake::start(zone).await;
        let clock = Clock::new(|| Timestamp::UNIX_EPOCH);
        let access = Rfc2136::new(fake.address, key("c2VjcmV0").unwrap(), clock);
        let error = access.put("_acme-challenge.example.test", "value").await.unwrap_err();
        let text = format!("{error:#}");
        assert!(wanted.iter().all(|part| text.contains(part)), "{row}: {text}");
    }

    // Servers that take an update and sign their answer are real ones: tests/peers.
    #[tokio::test]
    async fn refusals_say_what_to_do() {
        let zone = || Zone::default().apex("example.test");
        let code = |code| zone().code("", RecordType::SOA, code).update(code);
        check("no zone", Zone::default(), &["holds no zone", "help: `server` must be"]).await;
        check("refused", zone().update(ResponseCode::Refused), &["Query Refused", "allow the key"])
            .await;
        check(
            "not its zone",
            zone().update(ResponseCode::NotAuth),
            &["no primary of example.test"],
        )
        .await;
        check("switched off", zone().update(ResponseCode::NotImp), &["switched off"]).await;
        check("broken", zone().update(ResponseCode::ServFail), &["log of the server"]).await;
        check(
            "not signed",
            zone().update(ResponseCode::NoError),
            &["not signed by the TSIG key acme-key"],
        )
        .await;
        check("nothing works", code(ResponseCode::Refused), &["holds no zone"]).await;
    }

    #[test]
    fn errors_of_the_key_come_first() {
        let row = |tsig, part: &str| {
            let text = remedy(ResponseCode::NotAuth, Some(tsig), "example.test", "acme-key");
            assert!(text.contains(part), "{text}");
        };
        row(TsigError::BadKey, "knows no key `acme-key`");
        row(TsigError::BadSig, "secret of the key `acme-key`");
        row(TsigError::BadTime, "clock");
        row(TsigError::BadTrunc, "no primary");
    }

    #[test]
    fn a_key_that_is_no_base64_is_not_quoted() {
        let text = format!("{:#}", key("not-base64!").err().unwrap());
        assert!(text.contains("no base64\nhelp: ") && !text.contains("33"), "{text}");
    }
}
