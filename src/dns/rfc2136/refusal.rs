//! What a server says that does not take an update (RFC 2136, 2.2; RFC 8945, 5.3), and what to do about it.

use std::fmt;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::tsig::TsigError;

/// A server did not take an update.
#[derive(Clone, Copy, Debug)]
pub(in crate::dns) struct Refusal {
    code: ResponseCode,
    tsig: Option<TsigError>,
}

/// Why this answer is none that takes an update.
pub(in crate::dns) fn refusal(answer: &Message) -> Option<Refusal> {
    let tsig = answer.signature().and_then(|record| record.data.error);
    let code = answer.metadata.response_code;
    (code != ResponseCode::NoError || tsig.is_some()).then_some(Refusal { code, tsig })
}

impl Refusal {
    /// May the zone's primary say something else? A server that holds a copy says that it is not asked rightly (RFC 2136, 3.1),
    /// that it may not or cannot (BIND, NSD), or that it does not know the key. A wrong secret or clock is the same everywhere.
    pub(super) fn may_be_a_copys(self) -> bool {
        match self.tsig {
            None => [NOTIMP, REFUSED, NOTAUTH].contains(&u16::from(self.code)),
            Some(error) => matches!(error, TsigError::BadKey),
        }
    }

    /// What to do about it, for the zone and the name of the key.
    pub(super) fn remedy(self, zone: &str, key: &str) -> String {
        match self.tsig {
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
        match u16::from(self.code) {
            REFUSED => format!(
                "allow the key `{key}` to update TXT records of {zone} on the server (BIND: update-policy, Knot: acl)"
            ),
            NOTAUTH => format!(
                "the server is no primary of {zone}, or does not take the key `{key}` for it: correct `server`, or its configuration"
            ),
            NOTZONE => format!("the record is outside of {zone}: look at its delegations"),
            NOTIMP => format!("dynamic updates are switched off for {zone} on the server"),
            _ => {
                format!("look into the log of the server; {zone} may be read-only or its disk full")
            }
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        match self.tsig {
            None => Ok(()),
            Some(TsigError::BadSig) => f.write_str(", TSIG BADSIG"),
            Some(TsigError::BadKey) => f.write_str(", TSIG BADKEY"),
            Some(TsigError::BadTime) => f.write_str(", TSIG BADTIME"),
            Some(TsigError::BadTrunc) => f.write_str(", TSIG BADTRUNC"),
            Some(TsigError::Unknown(code)) => write!(f, ", TSIG error {code}"),
        }
    }
}

/// RFC 2136, 2.2: response codes of an update.
const NOTIMP: u16 = 4;
const REFUSED: u16 = 5;
const NOTAUTH: u16 = 9;
const NOTZONE: u16 = 10;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use super::*;

    #[test]
    fn errors_of_the_key_come_first() {
        let row = |tsig, part: &str, may_be_a_copys: bool| {
            let refusal = Refusal { code: ResponseCode::NotAuth, tsig: Some(tsig) };
            let text = refusal.remedy("example.test", "acme-key");
            assert!(text.contains(part), "{text}");
            assert_eq!(refusal.may_be_a_copys(), may_be_a_copys, "{refusal}");
        };
        row(TsigError::BadKey, "knows no key `acme-key`", true);
        row(TsigError::BadSig, "secret of the key `acme-key`", false);
        row(TsigError::BadTime, "clock", false);
        row(TsigError::BadTrunc, "no primary", false);
    }
}
