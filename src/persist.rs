//! dns-persist-01: the TXT record that lets a CA's account prove a name again and again, and whether one does. Pure.
//!
//! draft-ietf-acme-dns-persist: until its -01 a record names the account by its URL, from -02 on by a hash of it. A CA
//! that takes the hash says under which prefix (`accountHashPrefix` of its directory).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

/// The challenge's type.
pub const METHOD: &str = "dns-persist-01";

/// A CA's account, as records name it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Party {
    /// By which domain names records allow the CA; the first is written.
    pub issuers: Vec<String>,
    /// The account's URL.
    pub account: String,
    /// The thumbprint (RFC 7638) of its key.
    pub thumbprint: String,
    /// `accountHashPrefix`; none: the CA takes the account's URL itself.
    pub hash_prefix: Option<String>,
}

/// A name that is to be proved, without `*.`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// The name.
    pub name: String,
    /// Also, or only, for a wildcard.
    pub wildcard: bool,
}

/// A TXT record to be set by the names' owner, for good.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Grant {
    /// Where it stands, no dot at its end.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// A record that lets a name be proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted<'a> {
    /// The domain name by which it allows the CA.
    pub issuer: &'a str,
    /// `persistUntil`: when it ends.
    pub until: Option<Timestamp>,
}

/// What a certificate's names need: one record for a name and its wildcard.
#[must_use]
pub fn needs(domains: &[String]) -> Vec<Need> {
    let mut needs: BTreeMap<&str, bool> = BTreeMap::new();
    for written in domains {
        let plain = written.strip_prefix("*.");
        *needs.entry(plain.unwrap_or(written)).or_default() |= plain.is_some();
    }
    let need = |(name, wildcard): (&str, bool)| Need { name: name.to_owned(), wildcard };
    needs.into_iter().map(need).collect()
}

impl std::fmt::Display for Grant {
    /// As a zone file has it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}. TXT \"{}\"", self.name, self.value)
    }
}

impl Need {
    /// Where its record stands.
    #[must_use]
    pub fn place(&self) -> String {
        format!("_validation-persist.{}", self.name)
    }
}

impl Party {
    /// The record to set; none where the CA does not tell its domain name.
    #[must_use]
    pub fn grant(&self, need: &Need) -> Option<Grant> {
        let issuer = self.issuers.first()?;
        let account = match &self.hash_prefix {
            None => self.account.clone(),
            Some(prefix) => self.hashed(prefix, &need.name),
        };
        let policy = if need.wildcard { "; policy=wildcard" } else { "" };
        Some(Grant { name: need.place(), value: format!("{issuer}; accounturi={account}{policy}") })
    }

    /// Do the records that stand at the place of `need` prove it? Answers the first that does for good, else the last that does.
    ///
    /// # Errors
    /// Why not, in words that fit after the place: of the record that comes nearest.
    pub fn judge<'a>(
        &'a self,
        records: &[String],
        need: &Need,
        now: Timestamp,
    ) -> Result<Granted<'a>, String> {
        let mut nearest = match records {
            [] => "has no TXT record".to_owned(),
            [..] => format!("has no record for {}", self.issuers.join(" or ")),
        };
        let mut granted = None;
        for record in records {
            let mut parts = record.split(';').map(trimmed);
            let first = parts.next().unwrap_or_default();
            let Some(issuer) = self.issuers.iter().find(|issuer| *issuer == first) else {
                continue;
            };
            match self.judge_parameters(parts, need, now) {
                Ok(None) => return Ok(Granted { issuer, until: None }),
                Ok(until) => granted = Some(Granted { issuer, until }),
                Err(why) => nearest = format!("has a record for {issuer} that {why}"),
            }
        }
        granted.ok_or(nearest)
    }

    fn judge_parameters<'r>(
        &self,
        parts: impl Iterator<Item = &'r str>,
        need: &Need,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, String> {
        let parameters = parameters(parts)?;
        let account = *parameters.get("accounturi").unwrap_or(&"");
        if account.is_empty() {
            return Err("names no `accounturi`".to_owned());
        }
        if !self.may_be(account) {
            return Err(format!("is for the account {account}"));
        }
        let policy = parameters.get("policy");
        if need.wildcard && !policy.is_some_and(|word| word.eq_ignore_ascii_case("wildcard")) {
            return Err("has no `policy=wildcard`".to_owned());
        }
        let Some(until) = parameters.get("persistuntil") else { return Ok(None) };
        let until = until.parse().ok().and_then(|second| Timestamp::from_second(second).ok());
        let until = until.ok_or("has a `persistUntil` that is no number of seconds")?;
        if now > until {
            return Err(format!("ended at {until}"));
        }
        Ok(Some(until))
    }

    /// Is it us, as far as it can be told? A hash may be of an earlier key of ours, which the CA still takes; and a CA that
    /// now wants hashes may still take what was set before.
    fn may_be(&self, account: &str) -> bool {
        let is_hash = self.hash_prefix.as_ref().is_some_and(|prefix| account.starts_with(prefix));
        account == self.account || is_hash
    }

    /// The hashed URI of draft -02, 4.1: by it nobody else learns which names have one account.
    fn hashed(&self, prefix: &str, name: &str) -> String {
        let mut hash = Sha256::new();
        // A DNS name has at most 253 letters.
        hash.update([u8::try_from(name.len()).unwrap_or(u8::MAX)]);
        for part in [name, &self.thumbprint, &self.account] {
            hash.update(part.as_bytes());
        }
        format!("{prefix}sha-256/{}", URL_SAFE_NO_PAD.encode(hash.finalize()))
    }
}

/// The parameters by their tags in lower case (RFC 8659, 4.2). Unknown ones are for others.
fn parameters<'a>(
    parts: impl Iterator<Item = &'a str>,
) -> Result<BTreeMap<String, &'a str>, String> {
    let mut all = BTreeMap::new();
    for part in parts {
        let Some((tag, value)) = part.split_once('=') else {
            return Err(match part {
                "" => "has a `;` with nothing behind it".to_owned(),
                _ => format!("has `{part}`, which is no parameter"),
            });
        };
        let (tag, value) = (trimmed(tag).to_ascii_lowercase(), trimmed(value));
        if !value.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!("has a `{tag}` that is no word of ASCII letters"));
        }
        if all.insert(tag.clone(), value).is_some() {
            return Err(format!("has `{tag}` twice"));
        }
    }
    Ok(all)
}

fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use super::*;

    const NOW: &str = "2026-11-24T00:00:00Z";

    fn party() -> Party {
        Party {
            issuers: vec!["ca.example".to_owned(), "other.ca.example".to_owned()],
            account: "https://ca.example/acct/123".to_owned(),
            thumbprint: "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs".to_owned(),
            hash_prefix: None,
        }
    }

    fn hashing() -> Party {
        let hash_prefix = Some("https://ca.example/account-hash/".to_owned());
        Party { hash_prefix, ..party() }
    }

    fn need(wildcard: bool) -> Need {
        Need { name: "example.com".to_owned(), wildcard }
    }

    /// The issuer, or a part of why not.
    fn check(row: &str, records: &[&str], wildcard: bool, wanted: Result<&str, &str>) {
        check_of(row, &party(), records, wildcard, wanted);
    }

    fn check_of(
        row: &str,
        party: &Party,
        records: &[&str],
        wildcard: bool,
        wanted: Result<&str, &str>,
    ) {
        let records: Vec<String> = records.iter().map(|&record| record.to_owned()).collect();
        let got = party.judge(&records, &need(wildcard), NOW.parse().unwrap());
        match (&got, wanted) {
            (Ok(granted), Ok(wanted)) => assert_eq!(granted.issuer, wanted, "{row}"),
            (Err(why), Err(part)) => assert!(why.contains(part), "{row}: {why}"),
            (_, _) => panic!("{row}: {got:?}, not {wanted:?}"),
        }
    }

    const OURS: &str = "ca.example; accounturi=https://ca.example/acct/123";
    const OTHERS: &str = "ca.example; accounturi=https://ca.example/acct/124";

    fn with(more: &str) -> String {
        format!("{OURS}{more}")
    }

    #[test]
    fn who_is_allowed() {
        check("none", &[], false, Err("has no TXT record"));
        check("of something else", &["v=spf1 -all"], false, Err("for ca.example or other"));
        check("ours", &[OURS], false, Ok("ca.example"));
        check("by its other name", &[&format!("other.{OURS}")], false, Ok("other.ca.example"));
        check("capitals are another name", &["CA.example"], false, Err("has no record for"));
        check("nobody's", &["ca.example"], false, Err("names no `accounturi`"));
        check("another account's", &[OTHERS], false, Err("is for the account https"));
        check("beside ours", &[OTHERS, "x", OURS], false, Ok("ca.example"));
        check("no wildcard", &[OURS], true, Err("has no `policy=wildcard`"));
        check("for a wildcard", &[&with("; policy=wildcard")], true, Ok("ca.example"));
        check("and for the name", &[&with("; policy=wildcard")], false, Ok("ca.example"));
        check("another policy", &[&with("; policy=other")], true, Err("policy=wildcard"));
        check("another policy, no wildcard", &[&with("; policy=other")], false, Ok("ca.example"));
        check("for ever", &[&with("; persistUntil=4102444800")], false, Ok("ca.example"));
        check("over", &[&with(";persistUntil=1767225600")], false, Err("2026-01-01T00:00:00Z"));
        check("one of two is over", &[&with(";persistUntil=1"), OURS], false, Ok("ca.example"));
    }

    #[test]
    fn when_it_ends() {
        let check = |row: &str, records: &[&str], wanted: Option<&str>| {
            let records: Vec<String> = records.iter().map(|more| with(more)).collect();
            let party = party();
            let granted = party.judge(&records, &need(false), NOW.parse().unwrap()).unwrap();
            assert_eq!(granted.until.map(|until| until.to_string()).as_deref(), wanted, "{row}");
        };
        let ends = "; persistUntil=1798761600";
        check("never", &[""], None);
        check("then", &[ends], Some("2027-01-01T00:00:00Z"));
        check("one of two never", &[ends, ""], None);
    }

    #[test]
    fn how_it_may_be_written() {
        let (policy, account) = ("POLICY = WildCard", "AccountURI =\thttps://ca.example/acct/123");
        check("any order", &[&format!("ca.example;{policy};{account}")], true, Ok("ca.example"));
        check("spaces", &[&format!("  ca.example ; {account}  ")], false, Ok("ca.example"));
        check("a new parameter", &[&with("; new=1")], false, Ok("ca.example"));
        check("an open end", &[&with(";")], false, Err("nothing behind it"));
        check("no parameter", &[&with("; wildcard")], false, Err("`wildcard`"));
        check("twice", &[&with("; x=1; X=2")], false, Err("has `x` twice"));
        check("two words", &[&with("; x=1 2")], false, Err("no word"));
        check("no time", &[&with("; persistUntil=2030-01-01")], false, Err("no number"));
    }

    /// The vector of the draft, 10.2.
    #[test]
    fn an_account_may_be_hashed() {
        let hash =
            "https://ca.example/account-hash/sha-256/5SQm7n6tPh2-PlLbCKGnViTXX5z19SCN4cPGQHSk-kw";
        let grant = hashing().grant(&need(false)).unwrap();
        assert_eq!(grant.name, "_validation-persist.example.com");
        assert_eq!(grant.value, format!("ca.example; accounturi={hash}"));
        let record = |account: &str| format!("ca.example; accounturi={account}");
        let check = |row, account, wanted| {
            check_of(row, &hashing(), &[&record(account)], false, wanted);
        };
        check("as we write it", hash, Ok("ca.example"));
        check("of an earlier key", "https://ca.example/account-hash/sha-256/x", Ok("ca.example"));
        check("as it was before", "https://ca.example/acct/123", Ok("ca.example"));
        check("another account's", "https://ca.example/acct/124", Err("is for the account"));
    }

    #[test]
    fn what_is_to_be_set_is_what_is_looked_for() {
        for (party, wildcard) in
            [(party(), false), (party(), true), (hashing(), false), (hashing(), true)]
        {
            let grant = party.grant(&need(wildcard)).unwrap();
            assert_eq!(grant.value.ends_with("; policy=wildcard"), wildcard, "{grant:?}");
            let got = party.judge(&[grant.value], &need(wildcard), NOW.parse().unwrap());
            assert_eq!(got, Ok(Granted { issuer: "ca.example", until: None }));
        }
        assert_eq!(Party::default().grant(&need(true)), None, "a CA that tells no name");
    }

    #[test]
    fn a_name_and_its_wildcard_share_a_record() {
        let domains = ["b.test", "*.b.test", "a.test", "*.c.test"].map(str::to_owned);
        let needs: Vec<_> =
            needs(&domains).into_iter().map(|need| (need.place(), need.wildcard)).collect();
        let place = |name: &str, wildcard| (format!("_validation-persist.{name}"), wildcard);
        assert_eq!(needs, [place("a.test", false), place("b.test", true), place("c.test", true)]);
    }
}
