//! dns-persist-01 (draft-ietf-acme-dns-persist): records that others have set must stand there before the CA is asked.

use std::collections::BTreeMap;

use anyhow::anyhow;
use futures_util::{StreamExt as _, stream};
use instant_acme::{AuthorizationStatus, ChallengeType, Error, Order};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use super::Failure;
use super::account::Session;
use super::acme::{Meta, patient};
use super::jws::Kept;
use super::order::{Job, UnderWay};
use crate::dns::Asker;
use crate::persist::{Grant, METHOD, Need, Party, needs};
use crate::secret::Redactor;

/// What records name, by a stored account and what its CA says of itself.
///
/// # Errors
/// The account is damaged.
pub fn party(
    account: &SecretString,
    issuers: Vec<String>,
    hash_prefix: Option<String>,
) -> anyhow::Result<Party> {
    // The parser's text may quote the key.
    let kept: Kept = serde_json::from_str(account.expose_secret())
        .map_err(|_quoting| anyhow!("the stored account is damaged"))?;
    let thumbprint = kept.key()?.thumbprint();
    Ok(Party { issuers, account: kept.id, thumbprint, hash_prefix })
}

/// A name that is not proved, and how the CA lets it be proved.
struct Open {
    name: String,
    /// URL of the challenge; none: the CA does not offer it.
    url: Option<String>,
    offered: Vec<String>,
}

/// A name whose record is missing or wrong.
struct Lacking {
    /// Why, by whom.
    why: String,
    grant: Option<Grant>,
}

/// The part of an authorization that instant-acme does not show.
#[derive(Deserialize)]
struct Authorization {
    challenges: Vec<Offer>,
}

#[derive(Deserialize)]
struct Offer {
    url: String,
    /// Until the draft's -01.
    #[serde(rename = "issuer-domain-names", default)]
    early: Vec<String>,
    /// From its -02 on.
    #[serde(rename = "issuerDomainNames", default)]
    late: Vec<String>,
}

/// By which domain names records may allow the CA: of each challenge that tells them, by its URL.
pub(super) fn offers(body: &[u8]) -> BTreeMap<String, Vec<String>> {
    let Ok(Authorization { challenges }) = serde_json::from_slice(body) else {
        return BTreeMap::new();
    };
    let told = challenges.into_iter().map(|one| (one.url, [one.early, one.late].concat()));
    told.filter(|(_, issuers)| !issuers.is_empty()).collect()
}

/// An entry of a directory that is of another kind is as good as none: it must not keep anybody from dns-01.
pub(super) fn or_none<'de, T, D>(entry: D) -> Result<T, D::Error>
where
    T: DeserializeOwned + Default,
    D: Deserializer<'de>,
{
    let value = serde_json::Value::deserialize(entry)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

impl Meta {
    /// By which domain names records allow the CA, as far as it tells them before there is an order.
    pub(super) fn issuers(&self) -> Vec<String> {
        let own = &self.issuer_domain_names;
        if own.is_empty() { self.caa_identities.clone() } else { own.clone() }
    }
}

impl Session {
    fn party(&self) -> Party {
        let meta = self.line.ca().meta();
        Party {
            issuers: meta.issuers(),
            account: self.account.id().to_owned(),
            thumbprint: self.account.key_thumbprint().to_owned(),
            hash_prefix: meta.account_hash_prefix.clone(),
        }
    }
}

impl Job<'_> {
    /// Looks whether the record of each name stands there; answers by which domain name it allows the CA.
    pub(super) async fn granted(
        &self,
        session: &Session,
    ) -> Result<BTreeMap<String, String>, Failure> {
        let party = session.party();
        if party.issuers.is_empty() {
            return Err(Failure::free(anyhow!(
                "the CA does not tell by which domain name a record of {METHOD} allows it\nhelp: take `challenge` out: it must be dns-01"
            )));
        }
        let asker = &self.issuer.prover.asker(&self.certificate.dns);
        let needs = needs(&self.certificate.domains);
        let looks = needs.iter().map(|need| self.look(asker, &party, need));
        let looked: Vec<_> = stream::iter(looks).buffered(NAMES).collect().await;
        let mut granted = BTreeMap::new();
        let mut lacking = Vec::new();
        for (need, looked) in needs.iter().zip(looked) {
            match looked {
                Ok(issuer) => drop(granted.insert(need.name.clone(), issuer)),
                Err(why) => lacking.push(Lacking { why, grant: party.grant(need) }),
            }
        }
        if lacking.is_empty() { Ok(granted) } else { Err(Failure::free(unproved(&lacking))) }
    }

    /// A CA may ask any of the servers: all that answer must show it.
    async fn look(&self, asker: &Asker, party: &Party, need: &Need) -> Result<String, String> {
        let place = need.place();
        let shown = asker.texts(&place).await.map_err(|error| format!("{error:#}"))?;
        let now = self.issuer.ground.clock.now();
        let mut issuer = String::new();
        for one in shown {
            let judged = party.judge(&one.texts, need, now);
            let why = |why: String| format!("{place} {why} ({} says)", one.server);
            judged.map_err(why)?.issuer.clone_into(&mut issuer);
        }
        Ok(issuer)
    }

    /// Before the CA is asked to look: does it offer the challenge for all names, and take the records that stand there?
    pub(super) async fn check_offers(&self, under_way: &mut UnderWay) -> Result<(), Failure> {
        let UnderWay { order, session, .. } = under_way;
        let open = patient(async || open(order).await).await;
        let open = open.map_err(|error| session.failure("to show what is to be proved", error))?;
        if let Some(none) = open.iter().find(|open| open.url.is_none()) {
            return Err(Failure::free(anyhow!(
                "the CA offers no {METHOD} for {}; it offers {}\nhelp: take `challenge` out, and name a [dns.NAME] by which records are put",
                none.name,
                none.offered.join(", ")
            )));
        }
        let granted = self.granted(session).await?;
        let told = session.line.heard().offers;
        for one in open {
            let issuers = one.url.and_then(|url| told.get(&url)).map(Vec::as_slice);
            let issuers = issuers.unwrap_or_default();
            let issuer = granted.get(&one.name).map(String::as_str).unwrap_or_default();
            if !issuers.iter().any(|known| known == issuer) {
                return Err(Failure::free(anyhow!(
                    "the record of {} allows {issuer}, and the CA wants one for {}\nhelp: set the record with that name before the first `;`",
                    one.name,
                    Redactor::default().clean(&issuers.join(" or "))
                )));
            }
        }
        Ok(())
    }
}

/// Names that are not proved.
async fn open(order: &mut Order) -> Result<Vec<Open>, Error> {
    let mut all = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status != AuthorizationStatus::Pending {
            continue;
        }
        let name = authorization.identifier().identifier.authorized(false).to_string();
        let offered = authorization.challenges.iter().map(|one| word(&one.r#type)).collect();
        let url = authorization.challenge(kind()).map(|challenge| challenge.url.clone());
        all.push(Open { name, url, offered });
    }
    Ok(all)
}

/// The crate does not know this kind.
pub(super) fn kind() -> ChallengeType {
    ChallengeType::Unknown(METHOD.to_owned())
}

fn word(kind: &ChallengeType) -> String {
    match kind {
        ChallengeType::Http01 => "http-01".to_owned(),
        ChallengeType::Dns01 => "dns-01".to_owned(),
        ChallengeType::TlsAlpn01 => "tls-alpn-01".to_owned(),
        ChallengeType::Unknown(word) => Redactor::default().clean(word),
        other @ (ChallengeType::DeviceAttest01 | _) => format!("{other:?}"),
    }
}

/// All that is to be set, at once.
fn unproved(lacking: &[Lacking]) -> anyhow::Error {
    let mut text = format!("its names cannot be proved by {METHOD} as the DNS stands:");
    for Lacking { why, grant } in lacking {
        let (why, help) = crate::told::split(why);
        text += &format!("\n{}", Redactor::default().clean(&why));
        if let Some(grant) = grant {
            text += &format!("\n  set: {grant}");
        }
        if !help.is_empty() {
            text += &format!("\nhelp: {help}");
        }
    }
    anyhow!(
        "{text}\nso the CA was not asked to look\nhelp: set these TXT records where the zone is kept, and let them stand (beside those for other \
         CAs); the next run goes on"
    )
}

/// Names side by side: a few questions each, to servers of one's own.
const NAMES: usize = 16;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use super::*;

    fn check(row: &str, body: &str, wanted: &[(&str, &[&str])]) {
        let got = offers(body.as_bytes());
        let got: Vec<_> = got
            .iter()
            .map(|(url, names)| (url.as_str(), names.iter().map(String::as_str).collect()))
            .collect();
        let wanted: Vec<_> = wanted.iter().map(|(url, names)| (*url, names.to_vec())).collect();
        assert_eq!(got, wanted, "{row}");
    }

    #[test]
    fn a_challenge_tells_by_which_names_a_ca_is_allowed() {
        let one = |names: &str| {
            format!(r#"{{"challenges":[{{"type":"x","url":"u"{names}}},{{"url":"v"}}]}}"#)
        };
        check("early", &one(r#","issuer-domain-names":["a","b"]"#), &[("u", &["a", "b"])]);
        check("late", &one(r#","issuerDomainNames":["a"]"#), &[("u", &["a"])]);
        let both = r#","issuerDomainNames":["a"],"issuer-domain-names":["b"]"#;
        check("both", &one(both), &[("u", &["b", "a"])]);
        check("none", &one(""), &[]);
        check("an order", r#"{"status":"pending"}"#, &[]);
        check("a chain", "-----BEGIN", &[]);
    }

    #[test]
    fn a_directory_with_strange_entries_is_a_directory() {
        let check = |row: &str, meta: &str, issuers: &[&str], prefix: Option<&str>| {
            let meta: Meta = serde_json::from_str(meta).unwrap();
            assert_eq!(meta.issuers(), issuers, "{row}");
            assert_eq!(meta.account_hash_prefix.as_deref(), prefix, "{row}");
        };
        check("early", r#"{"caaIdentities":["a"]}"#, &["a"], None);
        let late = r#"{"caaIdentities":["a"],"issuerDomainNames":["b"],"accountHashPrefix":"p"}"#;
        check("late", late, &["b"], Some("p"));
        let strange = r#"{"caaIdentities":["a"],"issuerDomainNames":{},"accountHashPrefix":1}"#;
        check("strange", strange, &["a"], None);
        check("silent", "{}", &[], None);
    }
}
